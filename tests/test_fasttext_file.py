import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.fasttext_file import FormatError, load_classifier, read_header
from curation.language_model import PACKAGED_MODEL
from curation.shards import file_sha256
from curation.text.linear import plain_tokens
from tests.classifiers import OTHER, WANTED, make_classifier

THREE = ("hq", "lq", "code")
MODELS = {
    "bigrams": {},
    "words": {"wordNgrams": 1},
    "characters": {"wordNgrams": 3, "minn": 1, "maxn": 3},
    "three labels": {"labels": THREE},
    "quantised": {"quantize": {}},
    "pruned": {"quantize": {"cutoff": 300, "qnorm": True}},
    "pruned, odd": {"quantize": {"cutoff": 260, "qnorm": True}, "dim": 7},
    "one against all": {"loss": "ova", "labels": THREE},
    "negative sampling": {"loss": "ns", "labels": THREE},
    "tree": {"loss": "hs", "labels": THREE},
}
TABLE_STEP = 0.009
"""fastText reads the logistic function off a table."""

FIXTURES = [HealthCheck.function_scoped_fixture]

words = st.sampled_from([*WANTED.split(), *OTHER.split(), "</s>", "__label__hq", "__label__", "é"])
lines = st.lists(words | st.text(max_size=6), max_size=12).map(" ".join) | st.text(max_size=30)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Per name: the path, and fastText's own model."""
    directory = tmp_path_factory.mktemp("models")
    made = {}
    for number, (name, options) in enumerate(MODELS.items()):
        path = directory / f"{number}.bin"
        made[name] = (path, make_classifier(path, **options))
    return made


def scores_of(path, texts, label="hq"):
    classifier = load_classifier(path, file_sha256(path), label)
    return classifier.scores(text_buffers(pa.array(texts, pa.large_string())))


def asked(model, text, label="hq"):
    line = b" ".join(plain_tokens(text.encode())).decode()
    found = {name: p for p, name in model.f.predict(line + "\n", -1, 0.0, "strict")}
    return min(found.get(f"__label__{label}", 0.0), 1.0)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(lines, min_size=1, max_size=4))
def test_scores_are_those_of_fasttext(models, name, texts):
    path, model = models[name]
    table = "against" in name or "sampling" in name
    for text, score in zip(texts, scores_of(path, texts), strict=True):
        assert score == pytest.approx(asked(model, text), abs=TABLE_STEP if table else 2.5e-5)


def test_every_label_can_be_scored_and_they_sum_to_one(models):
    path, model = models["three labels"]
    texts = [WANTED, OTHER, "git merge", ""]
    found = [scores_of(path, texts, label) for label in THREE]
    np.testing.assert_allclose(np.sum(found, axis=0), 1.0, atol=1e-8)
    for label, scores in zip(THREE, found, strict=True):
        expected = [asked(model, text, label) for text in texts]
        np.testing.assert_allclose(scores, expected, atol=2.5e-5)


def test_only_a_tree_is_left_to_the_library(models):
    for name, (path, _) in models.items():
        folded = load_classifier(path, file_sha256(path), "hq").linear is not None
        assert folded == (name != "tree")
    assert not read_header(PACKAGED_MODEL, "").foldable


def test_a_score_does_not_depend_on_the_neighbours(models):
    path, _ = models["bigrams"]
    texts = [WANTED, "", OTHER, "x\ny"]
    alone = [scores_of(path, [text])[0] for text in texts]
    assert scores_of(path, texts).tolist() == alone


@pytest.mark.parametrize("unit", ["a", "a ", "\u65e5", "</s> ", "__label__x ", "\0"])
def test_long_texts_cost_no_more_than_their_bytes(models, unit):
    path, model = models["characters"]
    text = unit * 20_000
    assert scores_of(path, [text])[0] == pytest.approx(asked(model, text), abs=1e-4)


def test_bytes_that_are_no_utf8_are_scored(models):
    path, _ = models["characters"]
    classifier = load_classifier(path, file_sha256(path), "hq")
    data = np.frombuffer(b"\xff\xfe the \xe2\x82\x80\x80", np.uint8)
    [score] = classifier.scores((np.array([0, len(data)], np.int64), data))
    assert 0 <= score <= 1


@pytest.mark.parametrize("name", ["bigrams", "pruned", "tree"])
@pytest.mark.parametrize("kept", [0, 3, 7, 60, 90, 400, -2000, -40, -1])
def test_a_file_that_was_cut_off_is_told_in_one_line(models, tmp_path, name, kept):
    data = models[name][0].read_bytes()[:kept]
    path = tmp_path / "cut.bin"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"^model '.*cut.bin' is no fastText classifier: [^\n]*$"):
        load_classifier(path, file_sha256(path), "hq")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(at=28, byte=1)  # asks for 34 GB
@given(at=st.integers(0, 3000), byte=st.integers(0, 255))  # the numbers before say what to allocate
def test_a_damaged_byte_never_leads_astray(models, tmp_path, at, byte):
    data = bytearray(models["pruned"][0].read_bytes())
    data[60 + at % (len(data) - 60)] = byte
    path = tmp_path / "damaged.ftz"
    path.write_bytes(data)
    try:
        header = read_header(path, file_sha256(path))
        if not header.foldable:
            return
        found = scores_of(path, [WANTED, ""], header.labels[0])
    except FormatError:
        return
    assert ((found >= 0) & (found <= 1)).all()


def test_word_vectors_are_no_classifier(tmp_path):
    import fasttext

    text = tmp_path / "text.txt"
    text.write_text(f"{WANTED}\n" * 10)
    path = tmp_path / "vectors.bin"
    fasttext.train_unsupervised(
        str(text), dim=4, bucket=100, minCount=1, thread=1, verbose=0, epoch=1
    ).save_model(str(path))
    with pytest.raises(FormatError, match="holds word vectors and no labels"):
        read_header(path, file_sha256(path))
