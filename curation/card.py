"""The dataset card: sources, licences, recipe and funnel, as Markdown without times or paths."""

import tomllib
from pathlib import Path
from typing import Any

from curation.manifest import Manifest, StageCount
from curation.shards import replacing

_HUB_SPLIT = {"eval": "validation"}


def write_card(path: Path, manifest: Manifest) -> None:
    """Writes the card of a dataset; its bytes depend on the recipe and the documents alone."""
    with replacing(path) as file:
        file.write(render_card(manifest).encode("utf-8"))


def render_card(manifest: Manifest) -> str:
    """Returns the card's text, with the front matter that dataset hubs read."""
    licenses = sorted({str(s["license"]) for s in manifest.recipe["sources"] if s.get("license")})
    totals = manifest.totals
    lines = [
        "---",
        f"pretty_name: {manifest.name}",
        f"version: {manifest.version}",
        *(["license: other", f"license_name: {', '.join(licenses)}"] if licenses else []),
        "configs:",
        "- config_name: default",
        "  data_files:",
        *[
            f'  - {{split: {_HUB_SPLIT.get(split, split)}, path: "shards/{split}-*.arrow"}}'
            for split in sorted({shard.split for shard in manifest.shards}, reverse=True)
        ],
        "---",
        f"# {manifest.name} {manifest.version}",
        "",
        f"{totals.documents_kept:,} of {totals.documents_in:,} documents kept, "
        f"{totals.documents_rejected:,} rejected; {totals.text_bytes_kept:,} bytes of text. "
        "Every rejected document is in `audit/`, with each bound that it broke.",
        "",
        f"Recipe fingerprint: `{manifest.fingerprint}`",
        "",
        "## Sources",
        "",
        "| source | kind | licence | domain | in | kept | rejected | text bytes kept |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *[_source_row(source, manifest) for source in manifest.recipe["sources"]],
        "",
        "## Funnel",
        "",
        "| stage | in | out | rejected, by reason |",
        "| --- | --- | --- | --- |",
        *[_stage_row(stage) for stage in manifest.stages],
        "",
        "## Shards",
        "",
        "| file | documents | bytes | sha256 |",
        "| --- | --- | --- | --- |",
        *[f"| {s.path} | {s.documents:,} | {s.bytes:,} | `{s.sha256}` |" for s in manifest.shards],
        "",
        "## Recipe",
        "",
        "```toml",
        *_toml(manifest.recipe),
        "```",
        "",
    ]
    return "\n".join(lines)


def _source_row(source: dict[str, Any], manifest: Manifest) -> str:
    count = manifest.sources[source["name"]]
    return (
        f"| {source['name']} | {source['kind']} | {source.get('license') or 'not stated'} "
        f"| {source.get('domain') or ''} | {count.documents_in:,} | {count.documents_kept:,} "
        f"| {count.documents_rejected:,} | {count.text_bytes_kept:,} |"
    )


def _stage_row(stage: StageCount) -> str:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(stage.rejects.items()))
    return f"| {stage.name} | {stage.documents_in:,} | {stage.documents_out:,} | {reasons} |"


def _toml(recipe: dict[str, Any]) -> list[str]:
    """Writes a recipe as TOML: plain settings, then one table for each source and stage."""
    tables: list[tuple[str, dict[str, Any]]] = [("", {})]
    for key, value in recipe.items():
        if isinstance(value, list):
            tables += [(f"[[{key}]]", table) for table in value]
        elif isinstance(value, dict):
            tables.append((f"[{key}]", value))
        else:
            tables[0][1][key] = value
    lines: list[str] = []
    for header, table in tables:
        lines += [header] if header else []
        lines += [
            f"{key} = {_toml_value(value)}" for key, value in table.items() if value is not None
        ]
        lines.append("")
    text = "\n".join(lines).rstrip()
    assert tomllib.loads(text) is not None
    return text.split("\n")


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(char):04x}" if ord(char) < 32 or ord(char) == 127 else char
            for char in value.replace("\\", "\\\\").replace('"', '\\"')
        )
        return f'"{escaped}"'
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{_toml_value(str(key))} = {_toml_value(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    return str(value)
