"""Compiles every kernel before it is needed, by a tiny run of all stages; run at installation.

    python -m curation.warm

The run is real (files, worker process, guarded extraction, output), so it also says at once when an
installation is broken. Compiled kernels stay in numba's cache; a second call takes a few seconds.
"""

import json
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from curation.errors import CurationError
from curation.local import run_plan
from curation.manifest import Manifest
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.stages import KINDS
from curation.static_model import save_words

WORDS = (
    "A pipeline reads the pages of an archive, and that is the easy part of the work. "
    "To be of use, each page has to lose its menu, and the text must say which language it is. "
    "Then the same text at another address goes, with all the pages that differ in a date only. "
    "What stays is written to shards of the same size, and a model learns from them in order."
)

PAGE = (
    "The archive of a city library holds letters that nobody has read for two hundred years. "
    "Most of them are about the price of grain, and some are about the weather that made it rise. "
    "A clerk of the harbour wrote that ships could not leave, and that the ropes were frozen. "
    "To know which winter it was, one has to compare the hand, the paper and the names with others."
)

ALL = slice(None)
MOST_PARTS = 3

RECIPE: dict[str, Any] = {
    "name": "warm",
    "sources": [
        {"name": "lines", "kind": "jsonl", "paths": ["lines.jsonl"]},
        {"name": "pages", "kind": "html", "paths": ["page.html"]},
    ],
    "stages": [
        {"kind": "url_filter", "block": ["list.txt"], "strict_words": ["list.txt"]},
        {"kind": "extract", "sources": ["pages"]},
        {"kind": "normalize"},
        {"kind": "language"},
        {"kind": "gopher_quality"},
        {"kind": "gopher_quality", "name": "rival", "definition": "datatrove"},
        {"kind": "gopher_repetition"},
        {"kind": "personal_data"},
        {"kind": "text_statistics"},
        {"kind": "refinedweb_lines"},
        {"kind": "c4_quality", "min_sentences": 1},
        {"kind": "fineweb_quality"},
        {
            "kind": "decontaminate",
            "evals": ["evals.jsonl"],
            "fields": ["text"],
            "max_overlap": 1,  # measures only: the later stages need the documents
        },
        {"kind": "line_dedup", "scope": "all", "min_documents": 2},
        {"kind": "exact_dedup"},
        {"kind": "minhash_dedup", "threshold": 0.5},
        {"kind": "domain_cap", "max_documents": 1},
        {"kind": "split", "eval_share": 0.02},
        {"kind": "noise", "rates": {"keyboard": 0.1, "word_swap": 0.1, "sentence_drop": 0.1}},
        {"kind": "noise", "name": "masks", "rates": {"span_mask": 0.3}, "task": "t5"},
        {"kind": "augmentation_gates", "made_by": ["noise"]},
    ],
}


def warm(part: slice = ALL) -> Manifest:
    """Runs six documents through the stages in a directory that is removed again.

    Args:
        part: Which of the stages.

    Raises:
        CurationError: Something does not work here; the message says what.
    """
    with tempfile.TemporaryDirectory(prefix="curation-warm-") as name:
        directory = Path(name)
        _write_input(directory)
        stages = [_placed(stage, directory) for stage in RECIPE["stages"]]
        stages += [_quality_stage(directory), *_perplexity_stages(directory)]
        stages += _semantic_stages(directory)
        recipe = parse_recipe({**RECIPE, "stages": _possible(stages[part])}, "warm-up")
        plan = make_plan(LoadedRecipe(recipe, directory))
        return run_plan(plan, RunOptions(out=directory / "out", workers=1))


def _possible(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out the gates where no stage makes what they judge; the whole run has both."""
    if any(stage["kind"] == "noise" for stage in stages):
        return stages
    return [stage for stage in stages if stage["kind"] != "augmentation_gates"]


def _placed(stage: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Makes the files that a stage names absolute."""
    named = KINDS[stage["kind"]].files & set(stage)
    return {**stage, **{name: [str(directory / file) for file in stage[name]] for name in named}}


def _write_input(directory: Path) -> None:
    texts = [WORDS, WORDS, WORDS + " That is all.", "Too short.", "Größe 数 🙂 İ. " + WORDS[:120]]
    lines = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts)]
    (directory / "lines.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (directory / "list.txt").write_text("blocked.example\n0.0.0.0 host.example\n", encoding="utf-8")
    (directory / "evals.jsonl").write_text(json.dumps({"text": WORDS[:90]}), encoding="utf-8")
    page = "<html><body><nav>Home</nav><main><p>{}</p></main></body></html>"
    (directory / "page.html").write_text(page.format(PAGE), encoding="utf-8")


def _quality_stage(directory: Path) -> dict[str, Any]:
    """Trains a classifier in a moment, so that the kernel that runs it is compiled, too."""
    import fasttext

    lines, model = directory / "lines.txt", directory / "quality.bin"
    lines.write_text(f"__label__hq {WORDS}\n__label__lq {PAGE}\n", encoding="utf-8")
    settings = {"dim": 2, "wordNgrams": 2, "bucket": 100, "epoch": 1, "thread": 1, "verbose": 0}
    fasttext.train_supervised(str(lines), **settings).save_model(str(model))
    return {"kind": "quality_model", "model": str(model), "normal_form": "words"}


def _semantic_stages(directory: Path) -> list[dict[str, Any]]:
    """Makes a model of four words, on which all texts are close; none without the extra."""
    if find_spec("tokenizers") is None or find_spec("safetensors") is None:
        return []
    save_words(directory, {"the": (3, 1), "of": (3, 2), "and": (4, 1), "that": (4, 2)})
    return [{"kind": "semantic_dedup", "model": str(directory), "min_token_chars": 0}]


def _perplexity_stages(directory: Path) -> list[dict[str, Any]]:
    """Writes a language model of three words; without KenLM there is nothing to compile for."""
    if find_spec("kenlm") is None:
        return []
    words = "".join(f"-1\t{word}\t0\n" for word in ("<unk>", "<s>", "</s>"))
    counts, pair = "ngram 1=3\nngram 2=1\n", "-1\t<s> </s>\n"
    model = directory / "words.arpa"
    model.write_text(f"\\data\\\n{counts}\n\\1-grams:\n{words}\n\\2-grams:\n{pair}\n\\end\\\n")
    return [{"kind": "perplexity", "model": str(model)}]


def _warm_parts() -> None:
    """Compiles on several cores: each process takes every second stage, or every third."""
    parts = min(os.cpu_count() or 1, MOST_PARTS)
    if parts > 1:
        processes = [
            get_context("spawn").Process(target=warm, args=(slice(first, None, parts),))
            for first in range(parts)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


def main() -> int:
    """Warms up and reports; returns the exit code."""
    start = time.perf_counter()
    try:
        _warm_parts()
        manifest = warm()  # finds what went wrong in a part, too
    except CurationError as error:
        print(f"warm-up failed: {error}", file=sys.stderr)
        return error.exit_code
    kept, seen = manifest.totals.documents_kept, manifest.totals.documents_in
    print(f"kernels ready in {time.perf_counter() - start:.0f} s; {seen} documents in, {kept} kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
