from importlib.util import find_spec

import pytest
from pydantic import ValidationError

from curation.errors import DataError, DriftError
from curation.recipe import identity
from curation.stages.perplexity import Perplexity
from tests.conftest import make_batch, run_stage
from tests.language_models import by_hand, write_arpa

needs_kenlm = pytest.mark.skipif(find_spec("kenlm") is None, reason="kenlm is not installed")
needs_pieces = pytest.mark.skipif(
    find_spec("sentencepiece") is None, reason="sentencepiece is not installed"
)


@pytest.fixture
def model(tmp_path):
    return write_arpa(tmp_path / "tiny.arpa")


def stage_of(model, **options):
    return Perplexity(kind="perplexity", model=str(model), **options)


def scores_of(stage, texts):
    columns = stage.open()(make_batch(texts))
    assert list(columns) == stage.writes().names
    return columns["perplexity_score"].to_pylist(), columns["perplexity_tokens"].to_pylist()


@needs_kenlm
@pytest.mark.parametrize(
    "text",
    [
        "the ship",
        "the",
        "ship ship ice",
        "the walrus",
        "the ship\nice the ship",
        "the\n\n \nship\n",
    ],
)
def test_perplexity_is_that_of_the_model_computed_by_hand(model, text):
    scores, tokens = scores_of(stage_of(model), [text])
    expected = by_hand(text)
    assert scores == [pytest.approx(expected[0], rel=1e-6)]
    assert tokens == [expected[1]]


@needs_kenlm
def test_an_example_in_figures(model):
    # <s> the: -0.25; the ship: -0.375; ship </s>: -0.5: 10 ** (1.125 / 3)
    assert scores_of(stage_of(model), ["the ship"]) == ([2.371374], [3])


@needs_kenlm
def test_texts_without_tokens_have_no_score(model):
    assert scores_of(stage_of(model), ["", " \n", None, "\x01"]) == ([None] * 4, [0, 0, None, 0])
    stage = stage_of(model, min_perplexity=5)
    assert run_stage(stage, make_batch(["", "the ship"]))[1] == [[], ["low_perplexity"]]


@needs_kenlm
def test_each_bound_is_broken_by_its_own_text(model):
    stage = stage_of(model, min_perplexity=3, max_perplexity=20)
    _, reasons = run_stage(stage, make_batch(["the ship", "the walrus", "walrus walrus walrus"]))
    assert reasons == [["low_perplexity"], [], ["high_perplexity"]]


@needs_kenlm
def test_the_normal_form_is_that_of_the_models(model):
    texts = ["The ShíP", "the ship"]
    scores, _ = scores_of(stage_of(model), texts)
    assert scores[0] == scores[1]
    scores, _ = scores_of(stage_of(model, normal_form="cased"), texts)
    assert scores[0] > scores[1]
    scores, _ = scores_of(stage_of(model, normal_form="none"), texts)
    assert scores[0] > scores[1]


@needs_kenlm
def test_lines_are_sentences_or_joined_as_ccnet_does(model):
    text = "the\nship"
    assert scores_of(stage_of(model), [text])[1] == [4]
    # CCNet drops line feeds with the other control characters: "theship" is one unknown word.
    joined = scores_of(stage_of(model, join_lines=True), [text, "theship"])
    assert joined[0][0] == joined[0][1]
    assert joined[1] == [2, 2]
    as_it_is = stage_of(model, join_lines=True, normal_form="none")
    assert scores_of(as_it_is, [text, "the ship"])[1] == [3, 3]


@needs_kenlm
def test_rows_are_free_of_the_batch(model):
    texts = ["the ship", None, "ice the\nship", "", "walrus", "ÉÉ the"]
    for options in ({}, {"normal_form": "none"}, {"join_lines": True}):
        score = stage_of(model, **options).open()
        whole = score(make_batch(texts))
        for cut in range(len(texts) + 1):
            parts = [score(make_batch(texts).slice(0, cut)), score(make_batch(texts).slice(cut))]
            for name, values in whole.items():
                found = [part[name].to_pylist() for part in parts]
                assert values.to_pylist() == found[0] + found[1]


@needs_kenlm
def test_identity_is_the_content_not_the_place(model, tmp_path):
    copy = tmp_path / "copy.arpa"
    copy.write_bytes(model.read_bytes())
    assert identity(stage_of(copy)) == identity(stage_of(model))
    stage = stage_of(model)
    model.write_text(model.read_text().replace("-0.375", "-0.5"))
    assert identity(stage_of(model)) != identity(stage)
    with pytest.raises(DriftError, match=r"expected .* as planned; restore it"):
        stage.open()
    with pytest.raises(ValidationError, match=r"model_digest is .*, but tiny\.arpa has"):
        stage_of(model, model_digest=stage.model_digest)


@needs_kenlm
def test_settings_survive_a_round_trip(model):
    stage = stage_of(model, max_perplexity=900, name="wiki")
    assert Perplexity.model_validate_json(stage.model_dump_json()) == stage
    assert stage.writes().names == ["wiki_score", "wiki_tokens"]


@needs_kenlm
def test_impossible_settings_are_refused(model, tmp_path):
    with pytest.raises(ValidationError, match=r"min_perplexity is 9.* and max_perplexity is 3"):
        stage_of(model, min_perplexity=9, max_perplexity=3)
    with pytest.raises(ValidationError, match=r"none.arpa': no such file; give a KenLM model"):
        stage_of(tmp_path / "none.arpa")
    (tmp_path / "text.arpa").write_text("no model")
    with pytest.raises(ValidationError, match=r"text.arpa is no KenLM model: expected an ARPA"):
        stage_of(tmp_path / "text.arpa")


@needs_kenlm
def test_a_model_that_is_cut_off_is_an_error_of_one_line(model):
    model.write_text(model.read_text()[:80])
    with pytest.raises(DataError, match=r"tiny\.arpa cannot be loaded by KenLM \(.*\); expected a"):
        stage_of(model).open()


@needs_kenlm
def test_loading_says_nothing(model, capfd):
    stage_of(model).open()
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_is_told_with_what_to_do(model, monkeypatch):
    monkeypatch.setattr("curation.stages.perplexity.find_spec", lambda _: None)
    with pytest.raises(
        ValidationError,
        match=r"kenlm is not installed; install it with: pip install \"curation\[perplexity\]\"",
    ):
        stage_of(model)


@pytest.fixture
def pieces(tmp_path):
    import sentencepiece

    path = tmp_path / "tiny.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["the ship", "the ice", "ice the ship the"] * 20),
            model_writer=file,
            vocab_size=15,
            model_type="bpe",
            minloglevel=2,
        )
    return path


@needs_kenlm
@needs_pieces
def test_tokens_are_the_pieces_of_a_tokenizer(model, pieces, tmp_path):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    found = processor.encode("the ship", out_type=str)
    stage = stage_of(model, tokenizer=str(pieces))
    assert scores_of(stage, ["the ship"])[1] == [len(found) + 1]
    assert identity(stage) != identity(stage_of(model))
    (tmp_path / "bad.model").write_bytes(b"no model at all")
    broken = stage_of(model, tokenizer=str(tmp_path / "bad.model"))
    with pytest.raises(DataError, match=r"bad\.model cannot be loaded by SentencePiece"):
        broken.open()
