"""Extraction: main text out of HTML, and one reason for each way to get none."""

import shutil

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import engines
from curation.html.forest import load_forest, save_forest
from curation.html.pages import MODEL
from curation.recipe import identity
from curation.segment import broken_rows, score_rows
from curation.stages import extract
from curation.stages.extract import Extract
from tests.conftest import make_batch

PROSE = "The harvest was late that year, and the mill stood idle until the first frost. " * 6
PAGE = (
    "<html><head><title>Mill</title><script>var x = 'no';</script></head><body>"
    "<nav><a href='/'>Home</a> <a href='/a'>About</a></nav>"
    f"<article><h1>The mill</h1><p>{PROSE}</p><p>{PROSE.upper()}</p></article></body></html>"
)
ENGINES = ("blocks", "resiliparse", "trafilatura")


def make_pages(*pages: str | None, media_type: str = "text/html") -> pa.RecordBatch:
    return make_batch(pages, media_type=[media_type] * len(pages))


def run(stage: Extract, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Runs the stage as the runner does: on rows with a text, its columns checked."""
    scored, failures = score_rows(stage, batch, batch.column("text").is_valid().to_numpy(False))
    assert not len(failures.rows)
    return scored


def reasons(stage: Extract, batch: pa.RecordBatch) -> list[list[str]]:
    scored = run(stage, batch)
    everything = batch.column("text").is_valid().to_numpy(False)
    broken: list[list[str]] = [[] for _ in range(batch.num_rows)]
    for rule in stage.rules():
        for row in broken_rows(stage.name, rule, scored, everything).rows:
            broken[row].append(rule.reason)
    return broken


@pytest.mark.parametrize("engine", ENGINES)
def test_main_text_is_kept_and_navigation_is_not(engine):
    scored = run(Extract(engine=engine), make_pages(PAGE))
    text = scored.column("text")[0].as_py()
    assert text.count("harvest was late") == text.count("HARVEST WAS LATE") == 6
    assert "About" not in text
    assert "var x" not in text
    assert scored.column("media_type")[0].as_py() == "text/plain"


@pytest.mark.parametrize("engine", ENGINES)
def test_scores_say_how_long_page_and_text_are(engine):
    scored = run(Extract(engine=engine), make_pages(PAGE.replace("idle", "idlé")))
    text = scored.column("text")[0].as_py()
    row = scored.to_pylist()[0]
    assert row["extract_html_chars"] == len(PAGE)
    assert row["extract_text_chars"] == len(text)
    assert row["extract_text_ratio"] == pytest.approx(len(text) / len(PAGE))
    assert (row["extract_timeout"], row["extract_failed"], row["extract_error"]) == (0, 0, None)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_page_seen_before_is_extracted_again(engine):
    """No paragraph is left out because an earlier page had it, too."""
    texts = run(Extract(engine=engine), make_pages(*[PAGE] * 5)).column("text").to_pylist()
    assert len(set(texts)) == 1
    assert "harvest" in texts[0]


def test_rows_that_are_no_html_pass_through():
    batch = make_batch(
        ["<p>a</p>", "<p>b</p>", "<p>c</p>"], media_type=["text/plain", None, "application/json"]
    )
    stage = Extract()
    scored = run(stage, batch)
    assert scored.column("text").equals(batch.column("text"))
    assert scored.column("media_type").equals(batch.column("media_type"))
    scores = [name for name in stage.writes().names if name.startswith("extract_")]
    assert [scored.column(name).null_count for name in scores] == [3] * len(scores)
    assert reasons(stage, batch) == [[], [], []]


@pytest.mark.parametrize(
    "media_type", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml ; a=b"]
)
def test_media_types_of_html_are_known_in_all_spellings(media_type):
    scored = run(Extract(), make_pages("<p>a</p>", media_type=media_type))
    assert scored.column("text").to_pylist() == ["a"]


def test_each_row_is_told_apart_in_a_mixed_slice():
    batch = make_batch(
        ["<p>no</p>", "<p>a</p>", "<p>b</p>", None, "<p>c</p>"],
        media_type=["text/html", "text/html", "text/plain", "text/html", "text/html"],
    )
    columns = Extract().open()(batch.slice(1))
    assert columns["text"].to_pylist() == ["a", "<p>b</p>", None, "c"]
    assert columns["extract_text_chars"].to_pylist() == [1, None, None, 1]


def test_no_rows_give_no_rows():
    columns = Extract().open()(make_pages("<p>a</p>").slice(0, 0))
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(
        Extract().writes().names, 0
    )


def test_a_page_over_the_size_limit_is_not_parsed():
    stage = Extract(max_html_chars=10)
    batch = make_pages("<p>é345678", "<p>é3456789")
    assert reasons(stage, batch) == [[], ["extract_too_large"]]
    scored = run(stage, batch)
    assert scored.column("text")[1].as_py() is None
    assert scored.column("extract_error")[1].as_py() == "too_large"
    assert scored.column("extract_html_chars")[1].as_py() == 11


@pytest.mark.parametrize("page", ["", " ", "<p></p>", "<script>var a = 1;</script>", "<p>&nbsp;"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_page_without_a_text_is_empty(engine, page):
    stage = Extract(engine=engine)
    assert reasons(stage, make_pages(page)) == [["extract_empty"]]
    assert run(stage, make_pages(page)).column("text").to_pylist() == [None]


@pytest.mark.parametrize(
    "page",
    ["<div>" * 200_000 + "x", "<p " + " ".join(f"a{n}=1" for n in range(300_000)) + ">x</p>"],
    ids=["nesting", "attributes"],
)
def test_a_page_that_keeps_the_engine_busy_times_out_and_its_neighbours_do_not(page):
    """Real cases: each takes resiliparse minutes, inside native code."""
    stage = Extract(engine="resiliparse", timeout_seconds=0.3)
    batch = make_pages("<p>before</p>", page, "<p>after</p>")
    assert reasons(stage, batch) == [[], ["extract_timeout"], []]
    scored = run(stage, batch)
    assert scored.column("text").to_pylist() == ["before", None, "after"]
    assert scored.column("extract_error").to_pylist() == [None, "timeout", None]


@pytest.mark.parametrize(
    ("target", "error"),
    [("segfault", "crash"), ("leave", "crash"), ("fail", "KeyError"), ("power", "timeout")],
)
def test_each_way_to_fail_has_its_name(monkeypatch, target, error):
    monkeypatch.setitem(engines.TARGETS, "resiliparse", f"tests.guard_targets:{target}")
    stage = Extract(engine="resiliparse", timeout_seconds=0.2)
    columns = stage.open()(make_pages("<p>a</p>"))
    assert columns["text"].to_pylist() == [None]
    assert columns["extract_error"].to_pylist() == [error]
    assert columns["extract_failed"].to_pylist() == [int(error != "timeout")]
    assert columns["extract_timeout"].to_pylist() == [int(error == "timeout")]


def test_a_failure_is_rejected_as_extract_failed(monkeypatch):
    monkeypatch.setitem(engines.TARGETS, "trafilatura", "tests.guard_targets:fail")
    batch = make_pages("<p>a</p>")
    assert reasons(Extract(engine="trafilatura", name="x"), batch) == [["extract_failed"]]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.sampled_from("<>/=&;#x0 apdivbr\x00\u2028é𝄞'\"!-"), max_size=80)))
def test_soup_is_survived_and_texts_do_not_depend_on_neighbours(pages):
    stage = Extract()
    together = FUNCTION(make_pages(*pages))["text"].to_pylist()
    one_by_one = [FUNCTION(make_pages(page))["text"].to_pylist()[0] for page in reversed(pages)]
    assert together == one_by_one[::-1]
    assert stage.writes().field("text").type == pa.large_string()


FUNCTION = Extract().open()


@pytest.mark.parametrize(
    "reference", ["&#xD800;", "&#0;", "&#x110000;", "&#xFFFE;", "&nosuch;", "\ufffe", "\x00"]
)
@pytest.mark.parametrize("engine", ENGINES)
def test_references_to_no_character_leave_valid_text(engine, reference):
    page = PAGE.replace("mill stood", f"mill {reference} stood")
    scored = run(Extract(engine=engine), make_pages(page))
    scored.column("text").validate(full=True)
    assert "until the first frost" in scored.column("text")[0].as_py()


def test_an_engine_that_is_not_installed_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setattr(extract, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"'trafilatura' is not installed; .*curation\[precise\]"):
        Extract(engine="trafilatura")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("timeout_seconds", 0), ("max_html_chars", 0), ("memory_bytes", 1), ("engine", "lynx")],
)
def test_impossible_settings_are_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        Extract(**{setting: value})


SHORT = "<html><body><nav><a href=/>Home</a></nav><p>Closed today.</body></html>"


def test_confidence_is_known_and_can_be_asked_for():
    batch = make_pages(PAGE, SHORT)
    confidence = run(Extract(), batch).column("extract_confidence").to_pylist()
    assert confidence[0] > 0.7 > 0.1 > confidence[1]
    assert reasons(Extract(min_confidence=0.5), batch) == [[], ["extract_unsure"]]
    assert run(Extract(engine="resiliparse"), batch).column("extract_confidence").null_count == 2


@pytest.mark.parametrize("engine", ["resiliparse", "trafilatura"])
def test_pages_that_are_unsure_go_to_another_engine(engine):
    batch = make_pages(PAGE, SHORT, "<p></p>", None)
    found = run(Extract(fallback=engine), batch)
    ours, theirs = run(Extract(), batch), run(Extract(engine=engine), batch)
    assert found.column("extract_fallback").to_pylist() == [0, 1, 0, None]
    assert found.column("text")[0] == ours.column("text")[0]
    assert found.column("text")[1] == theirs.column("text")[1]
    assert reasons(Extract(fallback=engine), batch) == [[], [], ["extract_empty"], []]


def test_another_engine_that_fails_leaves_our_text(monkeypatch):
    monkeypatch.setitem(engines.TARGETS, "trafilatura", "tests.guard_targets:fail")
    found = run(Extract(fallback="trafilatura", timeout_seconds=4), make_pages(SHORT))
    assert found.column("text").to_pylist() == ["Closed today."]
    assert found.column("extract_fallback").to_pylist() == [0]
    assert found.column("extract_failed").to_pylist() == [0]


def test_what_pages_state_is_written_on_request():
    page = PAGE.replace("<head>", "<head><meta name=author content='A. Miller'><html lang=en-GB>")
    batch = make_pages(page, SHORT)
    found = run(Extract(), batch).to_pylist()
    assert found[0]["extract_title"] == "Mill"
    assert found[0]["extract_author"] == "A. Miller"
    assert found[0]["extract_language"] == "en-GB"
    assert found[1]["extract_title"] is None
    silent = run(Extract(metadata=False), batch)
    assert silent.column("extract_title").null_count == 2
    assert silent.column("text").equals(run(Extract(), batch).column("text"))


def test_markdown_keeps_structure():
    batch = make_pages(PAGE.replace("idle", "<a href='/x'><b>idle</b></a>"))
    [text] = run(Extract(format="markdown"), batch).column("text").to_pylist()
    assert text.startswith("# The mill\n\n")
    assert "stood **idle** until" in text
    [linked] = run(Extract(format="markdown", links=True), batch).column("text").to_pylist()
    assert "stood [**idle**](/x) until" in linked


def test_a_page_with_too_many_tags_is_refused():
    found = run(Extract(), make_pages("<" * 600_000))
    assert found.column("extract_error").to_pylist() == ["too_many_tags"]
    assert reasons(Extract(), make_pages("<" * 600_000)) == [["extract_failed"]]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"engine": "resiliparse", "format": "markdown"}, "format is for engine 'blocks' only"),
        ({"engine": "trafilatura", "fallback": "resiliparse"}, "fallback is for engine 'blocks'"),
        ({"engine": "trafilatura", "min_confidence": 0.1}, "min_confidence is for engine"),
        ({"links": True}, 'links are kept in Markdown only; add format = "markdown"'),
        ({"model": "/nowhere.npz"}, "model '/nowhere.npz': no such file; .*train-extractor"),
        ({"model_digest": "0" * 64}, "model_digest is 0000.*, but extractor.npz has"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        Extract(**settings_)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"model.npz: no model of an extractor"):
        Extract(model=str(tmp_path / "model.npz"))


def test_another_model_is_another_identity_and_its_place_is_none(tmp_path):
    shutil.copy(MODEL, tmp_path / "copy.npz")
    shutil.copy(MODEL, tmp_path / "other.npz")
    one, two = (Extract(model=str(tmp_path / name)) for name in ("copy.npz", "other.npz"))
    assert identity(one) == identity(two) == identity(Extract())
    other = load_forest(MODEL)._replace(bias=5000)
    save_forest(tmp_path / "other.npz", other)
    assert identity(Extract(model=str(tmp_path / "other.npz"))) != identity(one)


def test_names_of_score_columns_follow_the_stage_s_name():
    stage = Extract(name="second")
    assert {rule.column for rule in stage.rules()} < set(stage.writes().names)
    assert "second_error" in stage.writes().names
