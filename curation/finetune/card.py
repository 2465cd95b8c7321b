"""The model card: which corpus, which recipe, which licences, and what came out."""

import json
import re
from typing import Any

from curation.finetune.corpus import Corpus
from curation.handoff import PreparedJob
from curation.results import BitsPerByte, RunResult

_LICENSES_SHOWN = 20


def model_card(
    prepared: PreparedJob, corpus: Corpus, licenses: dict[str, int], result: RunResult
) -> str:
    """Returns the text of the model's README.md.

    Args:
        prepared: The job.
        corpus: The corpus it was trained on.
        licenses: Train documents by licence.
        result: The result, complete but for the card's own digest.
    """
    parts = [
        _front_matter(prepared),
        f"# {prepared.job.name}\n",
        _summary(result),
        _corpus(result, corpus, licenses),
        _training(prepared, result),
        _results(result),
        _recipe(corpus, prepared),
    ]
    return "\n".join(parts)


def _front_matter(prepared: PreparedJob) -> str:
    base = prepared.job.model.hub_id
    lines = ["---", "library_name: transformers", "pipeline_tag: text-generation"]
    if base:
        lines.append(f"base_model: {json.dumps(base.partition('@')[0])}")
    return "\n".join([*lines, "---", ""])


def _summary(result: RunResult) -> str:
    model = result.model
    start = "trained from new weights" if model.origin == "new" else "trained from a checkpoint"
    return (
        f"A causal language model ({model.architecture}, {model.layers} layers, width "
        f"{model.width}, {model.parameters:,} parameters, {model.vocab_size:,} tokens), {start} on "
        f"the corpus *{_plain(result.corpus.name)}*.\n"
    )


def _corpus(result: RunResult, corpus: Corpus, licenses: dict[str, int]) -> str:
    ref = result.corpus
    rows = [
        ("name, version", f"{_plain(ref.name)} {_plain(ref.version)}"),
        ("recipe fingerprint", f"`{_plain(ref.fingerprint)}`"),
        ("manifest sha256", f"`{ref.manifest_sha256}`"),
        ("digest over shards", f"`{ref.shards_digest}`"),
        ("made by", f"curation {_plain(corpus.manifest.package_version)}"),
        ("sources", ", ".join(_plain(name) for name in corpus.manifest.sources) or "not stated"),
    ]
    shown = [
        f"- {_plain(name)}: {count:,} documents"
        for name, count in list(licenses.items())[:_LICENSES_SHOWN]
    ]
    if len(licenses) > _LICENSES_SHOWN:
        shown.append(f"- and {len(licenses) - _LICENSES_SHOWN} more, see the dataset's card")
    title = "Licences of the documents it was trained on:\n"
    return "\n".join(["## Corpus\n", _table(rows), "", title, *shown, ""])


def _training(prepared: PreparedJob, result: RunResult) -> str:
    job, tokens = prepared.job, result.tokens
    rows = [
        ("job digest", f"`{result.job_digest}`"),
        ("tokens presented", f"{tokens.trained:,} ({tokens.epochs:.2f} epochs)"),
        ("sequences", f"{tokens.sequences:,} of {tokens.sequence_length:,} tokens"),
        ("steps", f"{tokens.steps:,} of {_batch(result)}"),
        ("peak learning rate", f"{job.learning_rate:g}, {job.training.schedule}"),
        ("seeds", f"init {job.seed.init}, order {job.seed.order}, sampling {job.seed.sampling}"),
        ("FLOPs", f"{result.flops:.3g} = {_plain(result.flops_convention, 400)}"),
        ("seconds", f"{result.seconds.train:.1f} ({result.tokens_per_second:,.0f} tokens/s)"),
        ("device", f"{_plain(result.device.name)}, {result.device.precision}"),
        ("versions", ", ".join(f"{name} {found}" for name, found in result.versions.items())),
    ]
    return "\n".join(["## Training\n", _table(rows), ""])


def _batch(result: RunResult) -> str:
    batch = result.batch
    return "unknown" if batch is None else f"{batch.sequences:,} sequences ({_plain(batch.rule)})"


def _results(result: RunResult) -> str:
    scores = result.bits_per_byte
    if scores is None:
        return "\n".join(["## Results\n", *(f"- {note}" for note in result.notes), ""])
    lines = [
        "## Results\n",
        f"Bits per byte on {scores.documents:,} held-out documents ({scores.bytes:,} bytes"
        f"{_origin(scores)}), in windows of {scores.window:,} tokens that overlap by "
        f"{scores.context:,}:\n",
        "| held-out | before | after |",
        "|---|---|---|",
        f"| all | {scores.before:.4f} | {scores.after:.4f} |",
    ]
    if scores.se_before is not None:
        lines.append(f"| standard error | {scores.se_before:.4f} | {scores.se_after:.4f} |")
    for source, (before, after) in scores.by_source.items():
        lines.append(f"| {_plain(source)} | {before:.4f} | {after:.4f} |")
    return "\n".join([*lines, *(f"\n{note}" for note in result.notes), ""])


def _origin(scores: BitsPerByte) -> str:
    if scores.dataset is None:
        return ""
    return f" of the dataset *{_plain(scores.dataset.name)}* {_plain(scores.dataset.version)}"


def _recipe(corpus: Corpus, prepared: PreparedJob) -> str:
    recipe = json.dumps(corpus.manifest.recipe, indent=1, ensure_ascii=False)
    job = json.dumps(prepared.job.model_dump(mode="json"), indent=1, ensure_ascii=False)
    fence = "`" * (3 + max((len(run) for run in re.findall("`+", recipe + job)), default=0))
    blocks = [("Recipe of the corpus", recipe), ("Job", job)]
    return "\n".join(f"## {title}\n\n{fence}json\n{text}\n{fence}\n" for title, text in blocks)


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _plain(value: Any, limit: int = 120) -> str:
    """Makes a value from outside safe in a table: one line, no markup, not endless."""
    text = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", text[:limit])
