"""A tokenizer that writes any text, takes no orders from it, and is the same every time."""

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.finetune.corpus import Document
from curation.finetune.tokenizer import (
    BOUNDARY,
    PAD,
    PIECE_CHARS,
    encode_documents,
    load_tokenizer,
    make_tokenizer,
    train_tokenizer,
)
from curation.job import TokenizerSpec
from tests.finetune.factory import micro_job, sentences


def documents(texts):
    return [Document(str(at), "web", text, len(text.encode())) for at, text in enumerate(texts)]


def make(vocab_size=300, texts=None):
    job = micro_job(tokenizer={"vocab_size": vocab_size})
    return make_tokenizer(job, documents(texts or sentences(30)))


@pytest.fixture(scope="module")
def tokenizer():
    return make()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(tokenizer, text):
    (ids,) = tokenizer.encode([text])
    assert tokenizer.decode(ids) == text


@settings(max_examples=50)
@given(
    before=st.text(st.characters(exclude_categories=["Cs"])),
    token=st.sampled_from([BOUNDARY, PAD]),
)
def test_text_cannot_spell_a_special_token(tokenizer, before, token):
    (ids,) = tokenizer.encode([before + token])
    assert not {tokenizer.begin, tokenizer.fast.pad_token_id} & set(ids)
    assert tokenizer.decode(ids) == before + token


def test_frequent_words_are_single_tokens():
    tokenizer = make(texts=sentences(30))
    (ids,) = tokenizer.encode([" model model"])
    assert len(ids) == 2


def test_vocabulary_has_the_size_asked_for(tokenizer):
    assert tokenizer.size == 300


def test_vocabulary_too_large_for_the_corpus_is_told_with_what_fits():
    spec = TokenizerSpec(vocab_size=5000)
    with pytest.raises(RecipeError, match=r"vocab_size 5,000 is too large .* gives \d{3} entries"):
        train_tokenizer(spec, documents(["one two", "two three"]))


def test_training_reads_no_more_than_its_sample():
    read = []

    def stream():
        for document in documents(sentences(30)):
            read.append(document)
            yield document

    train_tokenizer(TokenizerSpec(vocab_size=270, sample_bytes=500), stream())
    assert len(read) == 4  # of about 190 bytes; the fourth is taken and found to be over


TRAIN_AND_DIGEST = """
import hashlib
from curation.finetune.tokenizer import make_tokenizer
from tests.finetune.test_tokenizer import make
text = make(320).fast.backend_tokenizer.to_str()
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.slow
def test_training_gives_the_same_in_every_process(request):
    digests = {
        subprocess.run(
            [sys.executable, "-c", TRAIN_AND_DIGEST],
            cwd=request.config.rootpath,
            env={"PYTHONPATH": ".", "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    }
    assert len(digests) == 1


def test_saved_tokenizer_is_the_same_when_loaded(tokenizer, tmp_path):
    tokenizer.fast.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    text = f"the model {BOUNDARY} 日本 \x00"
    assert loaded.encode([text]) == tokenizer.encode([text])
    assert (loaded.begin, loaded.end, loaded.size) == (tokenizer.begin, None, 300)


def test_bare_tokenizer_file_is_enough(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.fast.backend_tokenizer.save(str(path))
    assert load_tokenizer(path).encode(["a b"]) == tokenizer.encode(["a b"])


def test_prompt_starts_as_a_document_does(tokenizer):
    assert tokenizer.fast("the model")["input_ids"][0] == tokenizer.begin


def test_directory_without_tokenizer_is_told(tmp_path):
    with pytest.raises(RecipeError, match=r"holds no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_tokenizer_without_boundary_is_told(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    renamed = tokenizer.fast.backend_tokenizer.to_str().replace(BOUNDARY, "<|other|>")
    path.write_text(renamed)
    with pytest.raises(RecipeError, match="neither a bos nor an eos token"):
        load_tokenizer(path)


def test_very_long_text_is_encoded_in_pieces_and_comes_back(tokenizer):
    text = "the data of a model\n" * (PIECE_CHARS // 10) + "x" * (2 * PIECE_CHARS + 1)
    (ids,) = tokenizer.encode([text])
    assert tokenizer.decode(ids) == text


def test_documents_keep_their_ids_in_order(tokenizer):
    given_documents = documents(sentences(5))
    pairs = list(encode_documents(tokenizer, given_documents))
    assert [document for document, _ in pairs] == given_documents
    assert [tokenizer.decode(ids) for _, ids in pairs] == sentences(5)
