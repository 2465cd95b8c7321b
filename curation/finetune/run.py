"""One training run from job.json to result.json: check, tokenise, score, train, score, save.

Everything is written into `.work` below the output directory and moved to its place at the end;
`result.json` comes last. So whatever ends the process, nothing half-written is taken for whole.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from curation.errors import DataError, RecipeError
from curation.finetune.answers import Inputs, answer
from curation.finetune.card import model_card
from curation.finetune.corpus import Corpus, Split, open_corpus
from curation.finetune.device import make_deterministic
from curation.finetune.evaluate import HELD_OUT_FILE, hold_out
from curation.finetune.heldout import HeldOutSet, choose_held_out
from curation.finetune.pack import TokenStream, pack
from curation.finetune.progress import Progress
from curation.finetune.ranks import Ranks
from curation.finetune.tokenizer import load_tokenizer, make_tokenizer
from curation.handoff import PreparedJob
from curation.manifest import write_json
from curation.results import RunResult
from curation.shards import file_record

_OUTPUTS = ("model", "tokens", HELD_OUT_FILE, "branches")
_OLD_OUTPUTS = ("evaluation.parquet",)


class _Source(NamedTuple):
    """What the first process alone reads."""

    corpus: Corpus
    train: Split
    held_out: HeldOutSet
    skipped: dict[str, int]


def run(prepared: PreparedJob, progress: Progress) -> RunResult | None:
    """Runs a job and writes its outputs and result.json below `prepared.output`.

    Returns:
        The result; None in all processes of a torchrun but the first, which alone scores and saves.

    Raises:
        CurationError: One line says what is wrong with corpus, job or machine.
    """
    make_deterministic()
    ranks = Ranks()
    with _work_directory(prepared.output, ranks) as work:
        source = _prepare(prepared, work, progress) if ranks.is_main else None
        ranks.await_main(work / "prepared")
        inputs = _load(prepared, source, work)
        result = answer(prepared, inputs, work, ranks, progress)
        if source is None or result is None:
            return None
        names = [str(budget) for budget in prepared.job.data.branches]
        result = result.model_copy(
            update={"branches": [f"branches/{name}/result.json" for name in names]}
        )
        card = model_card(prepared, source.corpus, source.train.licenses(), result)
        (work / "model" / "README.md").write_text(card, encoding="utf-8")
        for budget, name in zip(prepared.job.data.branches, names, strict=True):
            shutil.copytree(prepared.branch_directory(budget), work / "branches" / name)
        _publish(work, prepared.output, result)
        progress.emit("finished", result=str(prepared.output / "result.json"))
    return result


def _prepare(prepared: PreparedJob, work: Path, progress: Progress) -> _Source:
    """Checks the data and writes tokenizer and packed tokens into `work`."""
    job = prepared.job
    corpus = open_corpus(prepared.dataset, prepared.corpus)
    split = corpus.split("train", job.seed.sampling)
    _check_documents(split, corpus)
    held_out = choose_held_out(prepared, corpus)
    progress.seconds["startup"] = progress.total()
    with progress.phase("tokenizer"):
        tokenizer = make_tokenizer(job, split)
        tokenizer.fast.save_pretrained(work / "model")
    with progress.phase("tokenize"):
        limits = [job.data.unique_tokens, job.data.token_budget]
        limit = min((n for n in limits if n is not None), default=None)
        pack(tokenizer, split, work / "tokens", limit)
    return _Source(corpus, split, held_out, dict(split.skipped))


def _check_documents(split: Split, corpus: Corpus) -> None:
    if any(True for _ in split):
        return
    raise DataError(
        f"{corpus.directory}: has {len(split):,} train documents, none with text; expected at "
        "least one; see `curate stats` for what the recipe rejected"
    )


def _load(prepared: PreparedJob, source: _Source | None, work: Path) -> Inputs:
    """Reads what `_prepare` wrote, in every process."""
    length = prepared.job.data.sequence_length
    tokenizer = load_tokenizer(work / "model")
    stream = TokenStream(work / "tokens")
    if len(stream) < length:
        raise RecipeError(
            f"data.sequence_length {length:,} is longer than the whole packed corpus of "
            f"{len(stream):,} tokens; set it to that or less, or add documents"
        )
    held_out = HeldOutSet([], None, 0) if source is None else source.held_out
    encoded = hold_out(held_out.documents, tokenizer, length) if held_out.documents else None
    return Inputs(tokenizer, stream, held_out, encoded, {} if source is None else source.skipped)


@contextmanager
def _work_directory(output: Path, ranks: Ranks) -> Iterator[Path]:
    """Makes `.work` afresh, for one run at a time, and clears it away whatever happens."""
    work = output / ".work"
    if not ranks.is_main:
        ranks.meet()
        yield work
        return
    output.mkdir(parents=True, exist_ok=True)
    with open(output / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"{output}: another training writes there; wait for it or choose another directory"
            ) from error
        shutil.rmtree(work, ignore_errors=True)  # left by a process that was killed
        (work / "model").mkdir(parents=True)
        ranks.meet()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _publish(work: Path, output: Path, result: RunResult) -> None:
    """Moves the outputs to their place; the old result goes first, the new one comes last."""
    written = [path for name in _OUTPUTS for path in ((work / name), *(work / name).rglob("*"))]
    records = {
        path.relative_to(work).as_posix(): file_record(path)
        for path in sorted(written)
        if path.is_file()
    }
    (output / "result.json").unlink(missing_ok=True)
    for name in (*_OUTPUTS, *_OLD_OUTPUTS):
        target = output / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        if (work / name).exists():
            (work / name).replace(target)
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    write_json(output / "result.json", result.model_copy(update={"outputs": records}))
