"""semantic_dedup with a real model on real documents."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from curation.stages.semantic_dedup import SemanticDedup
from curation.static_model import find_model
from tests.stages.global_stage import dealt, decide, document

pytest.importorskip("wordllama")


def cosines(texts):
    """The cosine of each pair, in floats, by the model's files alone."""
    files = find_model("wordllama")
    table = load_file(files.weights)["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    found = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    vectors = np.array([table[tokens].sum(axis=0) for tokens in found])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def test_a_paraphrase_goes_and_another_subject_stays(tmp_path):
    texts = {
        "long": "The committee approved the new budget for public libraries on Monday evening, "
        "after a long debate about opening hours.",
        "short": "On Monday evening the committee approved the new public library budget after "
        "a long debate about the opening hours.",
        "other": "The committee rejected a request for more buses on Tuesday morning, because "
        "drivers could not be found.",
    }
    shards = [[document(name, text) for name, text in texts.items()]]
    rows = decide(SemanticDedup(threshold=0.95), shards, tmp_path)
    assert [(row["doc_id"], row["other_id"]) for row in rows if row["rejected"]] == [
        ("short", "long")
    ]


@pytest.mark.slow
@pytest.mark.shared
def test_of_manuals_in_three_versions_the_same_page_goes_and_hardly_another(shared_data, tmp_path):
    table = pq.read_table(shared_data / "near-dup/pydoc-versions.parquet").to_pylist()
    page = {row["id"]: row["name"] for row in table}
    texts = {row["id"]: row["text"] for row in table}
    stage = SemanticDedup(seed=1)
    documents = [document(name, text) for name, text in texts.items()]
    rows = decide(stage, dealt(documents, 5, seed=1), tmp_path, parts=3)
    rejected = {row["doc_id"]: row for row in rows if row["rejected"]}
    number = {name: place for place, name in enumerate(texts)}
    exact = cosines([text[: stage.max_chars] for text in texts.values()])
    for name, row in rejected.items():
        assert row["other_id"] not in rejected
        assert row["similarity"] >= stage.threshold
        expected = exact[number[name], number[row["other_id"]]]
        assert row["similarity"] == pytest.approx(expected, abs=1e-4)
    gone = np.array([name in rejected for name in texts])
    near = np.triu(exact >= stage.threshold + 1e-4, 1)
    assert (near & ~gone[:, None] & ~gone[None, :]).sum() <= 0.01 * near.sum()
    wrong = [name for name, row in rejected.items() if page[name] != page[row["other_id"]]]
    assert len(rejected) >= 600
    assert len(wrong) <= 2
