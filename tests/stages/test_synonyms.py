import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import DriftError, RecipeError
from curation.recipe import LoadedRecipe, parse_recipe
from curation.stages.synonyms import Synonyms
from curation.wordnet import INSTALLED, find_wordnet, load_wordnet, wordnet_digest
from tests.conftest import make_batch, write_jsonl
from tests.test_runner import outputs, run_here
from tests.wordnets import make_wordnet


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return make_wordnet(tmp_path_factory.mktemp("wordnet") / "dict")


def _made(stage: Synonyms, *texts: str) -> list[dict]:
    batch = make_batch(list(texts)).append_column("child", pa.array([0] * len(texts), pa.int32()))
    return pa.RecordBatch.from_pydict(dict(stage.open()(batch))).to_pylist()


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("physician", ["doctor"]),
        ("physicians", ["doctors"]),
        ("illness", ["sickness"]),  # "ailment" is tagged nowhere
        ("illnesses", ["sicknesses"]),
        ("purchase", ["acquire", "buy"]),
        ("purchased", ["acquired"]),  # "buy" is irregular
        ("purchasing", ["acquiring"]),
        ("rapid", ["quick"]),
        ("rapidly", ["quickly"]),
        ("bought", []),
        ("unknown", []),
        ("bank", []),
        ("", []),
        ("zzz", []),
        ("'", []),
    ],
)
def test_synonyms_of_a_small_wordnet(words, word, found) -> None:
    wordnet = load_wordnet(words, wordnet_digest(words))
    assert wordnet.synonyms(word, 2) == found
    assert not wordnet.synonyms(word, 0)


def test_case_articles_and_protected_spans_are_kept(words) -> None:
    text = (
        "A physician sees an illness. PHYSICIANS see it Rapidly! Some physician and some "
        "McPhysician read https://physician.example/illness and `illness` on the rapid train.\n"
        "```\nphysician illness rapid purchase here\n```\n"
    )
    [made] = _made(Synonyms(wordnet=str(words), rate=1), text)
    assert made["text"] == (
        "A doctor sees an illness. DOCTORS see it Quickly! Some doctor and some "
        "McPhysician read https://physician.example/illness and `illness` on the quick train.\n"
        "```\nphysician illness rapid purchase here\n```\n"
    )
    assert made["synonyms_replaced"] == 5
    assert made["synonyms_rate"] == pytest.approx(5 / len(re.findall(r"\w+", text)), rel=0.5)


def test_nothing_to_replace_is_no_child(words) -> None:
    stage = Synonyms(wordnet=str(words), rate=1)
    assert _made(stage, "There is nothing in these words.")[0]["text"] is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["physician", "illness", "rapid", "the", "of", "\n", "`x`"])),
    st.floats(0.01, 1),
)
def test_every_other_word_stays_and_draws_are_the_documents_own(words, parts, rate):
    text = " ".join(["There are some words.", *parts])
    stage = Synonyms(wordnet=str(words), rate=rate, seed=3)
    alone, other = _made(stage, text, "other words and a physician"), _made(stage, text)
    assert alone[0] == other[0]
    made = other[0]["text"] or text
    back = {"doctor": "physician", "sickness": "illness", "quick": "rapid"}
    restored = re.sub(r"\w+", lambda word: back.get(word.group(), word.group()), made)
    assert restored == text


def test_the_rate_is_met(words) -> None:
    text = "The physician knows an old sickness. " * 2000
    [made] = _made(Synonyms(wordnet=str(words), rate=0.3, seed=1), text)
    replaced = made["synonyms_replaced"]
    assert abs(replaced - 0.3 * 4000) < 5 * (4000 * 0.3 * 0.7) ** 0.5


def test_a_missing_or_changed_wordnet_is_one_line(words, tmp_path, monkeypatch) -> None:
    with pytest.raises(ValueError, match=r"no WordNet with index\.noun in .*apt install wordnet"):
        Synonyms(wordnet=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="leave it out"):
        Synonyms(wordnet=str(words), wordnet_digest="0" * 64)
    copy = make_wordnet(tmp_path / "copy")
    stage = Synonyms(wordnet=str(copy))
    with open(copy / "data.noun", "a") as file:
        file.write("more")
    with pytest.raises(DriftError, match="as planned; restore it"):
        stage.open()
    monkeypatch.setenv("WNSEARCHDIR", str(words))
    assert find_wordnet(INSTALLED) == words


def test_two_runs_are_equal_and_children_are_told_apart(words, tmp_path) -> None:
    text = "The physician knows an illness, and the rapid physician purchases some. " * 5
    write_jsonl(tmp_path / "in.jsonl", [{"id": str(n), "text": f"{text} {n}"} for n in range(9)])
    raw = {
        "name": "x",
        "seed": 5,
        "sources": [{"name": "in", "kind": "jsonl", "paths": ["in.jsonl"]}],
        "stages": [{"kind": "synonyms", "wordnet": str(words), "share": 2}],
    }
    loaded = LoadedRecipe(parse_recipe(raw), tmp_path)
    manifest, _ = run_here(loaded, tmp_path / "a")
    run_here(loaded, tmp_path / "b", batch_rows=2)
    assert manifest.totals.documents_made == 18
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    with pytest.raises(RecipeError, match="rate"):
        parse_recipe(raw | {"stages": [{"kind": "synonyms", "rate": 0}]})


def test_the_real_wordnet() -> None:
    try:
        stage = Synonyms(rate=1)
    except ValueError as error:
        pytest.skip(str(error))
    [made] = _made(stage, "Illnesses are rapidly detected by a physician. It usually occurs.")
    assert made["text"].startswith("Sicknesses are ")
    assert "by a doctor" in made["text"]
    assert made["synonyms_replaced"] >= 3
