import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from curation import static_model
from curation.static_model import find_model, load_model
from curation.text.angles import plain_cosine
from curation.text.embed import LARGEST
from tests.static_models import make_static_model

VECTORS = {"dog": [4, 0, 2], "puppy": [4, 1, 1], "tax": [-1, 3, 0]}


def loaded(directory):
    files = find_model(str(directory))
    return load_model(files, files.digest())


def cosine_of(model, one, two):
    vectors, _ = model.embed([one, two])
    return plain_cosine(*vectors.tolist())


def resaved(directory, **tensors):
    save_file(tensors, directory / "model.safetensors")
    return directory


@pytest.mark.parametrize("tensor", ["embeddings", "embedding.weight"])
def test_a_text_is_the_sum_of_its_tokens_vectors(tmp_path, tensor):
    directory = make_static_model(tmp_path, VECTORS)
    vectors = load_file(directory / "model.safetensors")["embeddings"]
    model = loaded(resaved(directory, **{tensor: vectors}))
    vectors, tokens = model.embed(["dog", "Dog! tax", "", "unheard of", "dog of dog"])
    assert tokens.tolist() == [1, 3, 0, 2, 3]
    expected = [[4, 0, 2], [3, 3, 2], [0, 0, 0], [0, 0, 0], [4, 0, 2]]
    for vector, row in zip(vectors.tolist(), expected, strict=True):
        if any(row):
            assert plain_cosine(vector, row) == pytest.approx(1, abs=1e-6)
        else:
            assert not any(vector)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8])
def test_numbers_of_every_kind_give_the_same_model(tmp_path, kind):
    directory = make_static_model(tmp_path, VECTORS)
    before = loaded(directory).table
    table = load_file(directory / "model.safetensors")["embeddings"]
    resaved(directory, embeddings=table.astype(kind))
    assert (loaded(directory).table == before).all()
    assert before.max() == LARGEST
    assert not before[0].any()


def test_weights_and_shared_vectors_of_model2vec_count(tmp_path):
    directory = make_static_model(tmp_path, VECTORS)
    plain = loaded(directory).table
    resaved(
        directory,
        embeddings=np.array([[1, 1, 1], [4, 0, 2], [-2, 6, 0]], np.float32),
        mapping=np.array([0, 1, 1, 2]),
        weights=np.array([1, 1, 1, 0.5], np.float32),
    )
    table = loaded(directory).table
    assert table[1].tolist() == table[2].tolist()
    assert plain_cosine(table[3].tolist(), [-1, 3, 0]) == pytest.approx(1)
    assert table[3, 1] / table[1, 0] == pytest.approx(plain[3, 1] / plain[1, 0], abs=1e-4)


def test_truncation_padding_and_special_tokens_of_the_file_do_not_count(tmp_path):
    directory = make_static_model(tmp_path, VECTORS)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9, pad_id=3)
    tokenizer.save(str(directory / "tokenizer.json"))
    assert loaded(directory).embed(["dog dog dog tax"])[1].tolist() == [4]


@pytest.mark.parametrize(
    ("model", "unknown"),
    [
        (models.WordLevel({"a": 0, "?": 1, "b": 2}, unk_token="?"), 1),
        (models.WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="?"), None),
        (models.Unigram([("a", -1.0), ("?", -9.0), ("b", -2.0)], unk_id=1), 1),
        (models.Unigram([("a", -1.0), ("c", -9.0), ("b", -2.0)]), None),
        (models.BPE({"a": 0, "b": 1, "c": 2}, []), None),
        (models.BPE({"a": 0, "b": 1, "c": 2}, [], unk_token="c"), 2),
    ],
)
def test_the_unknown_token_says_nothing(tmp_path, model, unknown):
    directory = resaved(tmp_path, embeddings=np.ones((3, 4), np.float32))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(directory / "tokenizer.json"))
    rows = loaded(directory).table.any(axis=1).tolist()
    assert [number for number, row in enumerate(rows) if not row] == [
        number for number in [unknown] if number is not None
    ]


def test_the_digest_is_that_of_the_contents(tmp_path):
    make_static_model(tmp_path / "one", VECTORS)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    make_static_model(tmp_path / "three", VECTORS | {"tax": [-1, 3, 1]})
    one, two, three = (
        find_model(str(tmp_path / name)).digest() for name in ("one", "two", "three")
    )
    assert one == two != three


def change(directory, name, content):
    (directory / name).write_bytes(content)


DAMAGED = {
    r"model\.safetensors' cannot be read \(.*\); expected tensors": lambda d: change(
        d, "model.safetensors", b"no tensors"
    ),
    r"tokenizer\.json' cannot be read \(.*\); expected a tokenizer": lambda d: change(
        d, "tokenizer.json", b"{}"
    ),
    r"found tensors weight \[4, 3\]; expected one of two dimensions called embeddings or": (
        lambda d: resaved(d, weight=np.ones((4, 3), np.float32))
    ),
    r"found tensors embeddings \[4\]; expected one of two dimensions": lambda d: resaved(
        d, embeddings=np.ones(4, np.float32)
    ),
    r"found tensors none": resaved,
    r"tokens up to number 3, but model\.safetensors has 3 vectors; .* saved together": (
        lambda d: resaved(d, embeddings=np.ones((3, 3), np.float32))
    ),
    r"vectors that are not finite": lambda d: resaved(
        d, embeddings=np.full((4, 3), np.nan, np.float32)
    ),
    r"expected weights and mapping of every token": lambda d: resaved(
        d, embeddings=np.ones((4, 3), np.float32), mapping=np.array([0, 1, 2, 4])
    ),
    r"weights and mapping of every token;": lambda d: resaved(
        d, embeddings=np.ones((4, 3), np.float32), weights=np.ones(3, np.float32)
    ),
}


@pytest.mark.parametrize("message", DAMAGED)
def test_what_is_damaged_is_named_in_one_line(tmp_path, message):
    directory = make_static_model(tmp_path, VECTORS)
    DAMAGED[message](directory)
    with pytest.raises(ValueError, match=message) as caught:
        loaded(directory)
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_directory_that_is_no_model_is_named(tmp_path, name):
    directory = make_static_model(tmp_path, VECTORS)
    (directory / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} is not there; expected a directory with model"):
        find_model(str(directory))


@pytest.mark.parametrize("package", ["safetensors", "tokenizers", "wordllama"])
def test_a_missing_package_says_what_to_install(monkeypatch, package):
    def without(name):
        return None if name == package else find_spec(name)

    monkeypatch.setattr(static_model, "find_spec", without)
    with pytest.raises(ValueError, match=rf'{package}.* not installed; .*"curation\[semantic\]"'):
        find_model("wordllama")


def test_a_package_of_another_version_is_named(tmp_path, monkeypatch):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(static_model, "find_spec", lambda _: Spec)
    with pytest.raises(ValueError, match=r"has no l2_supercat_256\.safetensors; expected version"):
        find_model("wordllama")


def test_the_environment_is_left_as_it_was(tmp_path, monkeypatch):
    model = loaded(make_static_model(tmp_path, VECTORS))
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    model.embed(["dog"])
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    model.embed(["dog"])
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def test_wordllama_gives_the_directions_that_its_own_code_gives():
    pytest.importorskip("wordllama")
    from wordllama.inference import WordLlamaInference

    files = find_model("wordllama")
    model = load_model(files, files.digest())
    theirs = WordLlamaInference(
        load_file(files.weights)["embedding.weight"], Tokenizer.from_file(str(files.tokenizer))
    )
    texts = [
        "The dog chased the cat through the garden.",
        "A puppy ran after a kitten in the yard.",
        "The central bank raised its interest rate by half a point.",
        "Größe 数 🙂 one two  three\n\nfour",
    ]
    vectors, tokens = model.embed(texts)
    reference = np.asarray(theirs.embed(texts, norm=True), np.float64)
    own = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.abs(own @ own.T - reference @ reference.T).max() < 2e-4
    assert tokens.tolist() == [sum(found.attention_mask) for found in theirs.tokenize(texts)]
    assert cosine_of(model, texts[0], texts[1]) > 0.4 > 0.2 > cosine_of(model, texts[0], texts[2])
