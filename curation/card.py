"""The dataset card: sources, licences, recipe and funnel, as Markdown without times or paths."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from curation.manifest import Manifest, StageCount, Totals
from curation.shards import replacing

_HUB_SPLIT = {"eval": "validation"}


def write_card(path: Path, manifest: Manifest, recipe: Mapping[str, Any]) -> None:
    """Writes the card of a dataset; its bytes depend on the recipe and the documents alone."""
    with replacing(path) as file:
        file.write(render_card(manifest, recipe).encode("utf-8"))


def render_card(manifest: Manifest, recipe: Mapping[str, Any]) -> str:
    """Returns the card's text, with the front matter that dataset hubs read.

    Args:
        manifest: Of the dataset.
        recipe: What is shown of the recipe (`Recipe.written`).
    """
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
        f"{totals.documents_kept:,} of {totals.documents_in:,} documents kept{_made(totals)}, "
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
        *_warnings(manifest),
        "## Shards",
        "",
        "| file | documents | bytes | sha256 |",
        "| --- | --- | --- | --- |",
        *[f"| {s.path} | {s.documents:,} | {s.bytes:,} | `{s.sha256}` |" for s in manifest.shards],
        "",
        "## Recipe",
        "",
        "```toml",
        tomli_w.dumps(_without_nulls(recipe)).rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def _made(totals: Totals) -> str:
    made = totals.documents_made
    return f" (and of {made:,} that were made of them by augmentation)" if made else ""


def _source_row(source: dict[str, Any], manifest: Manifest) -> str:
    count = manifest.sources[source["name"]]
    return (
        f"| {source['name']} | {source['kind']} | {source.get('license') or 'not stated'} "
        f"| {source.get('domain') or ''} | {count.documents_in:,} | {count.documents_kept:,} "
        f"| {count.documents_rejected:,} | {count.text_bytes_kept:,} |"
    )


def _stage_row(stage: StageCount) -> str:
    made = [f"made {stage.documents_made:,}"] if stage.documents_made else []
    rejects = [f"{reason} {count:,}" for reason, count in sorted(stage.rejects.items())]
    reasons = ", ".join([*made, *rejects])
    return f"| {stage.name} | {stage.documents_in:,} | {stage.documents_out:,} | {reasons} |"


def _warnings(manifest: Manifest) -> list[str]:
    """Says which rules removed an unusual share; none did in most datasets."""
    lines = [f"- {removal.line()}" for removal in manifest.warnings]
    return ["## Unusual shares removed", "", *lines, ""] if lines else []


def _without_nulls(value: Any) -> Any:
    """Leaves out what TOML cannot say: a setting that is not given."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
