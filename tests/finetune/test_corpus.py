"""The corpus is verified byte for byte, and read in an order of its own."""

import pyarrow as pa
import pytest

from curation.errors import DataError, SchemaError
from curation.finetune.corpus import open_corpus
from curation.handoff import corpus_ref
from curation.manifest import read_manifest
from curation.shards import write_shard
from tests.finetune.factory import sentences, write_dataset


def reference(directory):
    return corpus_ref(read_manifest(directory), directory)


def read_ids(directory, seed=0, split="train"):
    corpus = open_corpus(directory, reference(directory))
    return [document.doc_id for document in corpus.split(split, seed)]


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", sentences(20), sentences(3))


def test_whole_corpus_opens(dataset):
    corpus = open_corpus(dataset, reference(dataset))
    assert len(corpus.split("train", 0)) == 20
    assert len(corpus.split("eval", 0)) == 3


def test_one_flipped_byte_is_refused_and_its_file_named(dataset):
    wanted = reference(dataset)
    shard = dataset / "shards" / "eval-00001-of-00002.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"eval-00001-of-00002.arrow: sha256 \w+\.\.\., the manif"):
        open_corpus(dataset, wanted)


def test_truncated_shard_is_refused_by_its_size(dataset):
    wanted = reference(dataset)
    shard = dataset / "shards" / "train-00000-of-00002.arrow"
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"train-00000-of-00002.arrow: has [\d,]+ bytes, the manif"):
        open_corpus(dataset, wanted)


def test_missing_shard_is_named(dataset):
    wanted = reference(dataset)
    (dataset / "shards" / "train-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"train-00001-of-00002.arrow: missing"):
        open_corpus(dataset, wanted)


def test_changed_manifest_is_refused(dataset):
    wanted = reference(dataset)
    manifest = dataset / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(DataError, match=r"manifest.json: sha256 .*the job was made for"):
        open_corpus(dataset, wanted)


def test_order_does_not_depend_on_the_number_of_shards(tmp_path):
    one = write_dataset(tmp_path / "one", sentences(20), shards=1)
    five = write_dataset(tmp_path / "five", sentences(20), shards=5)
    assert read_ids(one) == read_ids(five)


def test_order_depends_on_the_seed_and_holds_the_same_documents(dataset):
    assert read_ids(dataset, seed=1) != read_ids(dataset, seed=2)
    assert sorted(read_ids(dataset, seed=1)) == sorted(read_ids(dataset, seed=2))


def test_documents_without_text_are_passed_over_and_counted(tmp_path):
    directory = write_dataset(tmp_path / "data", ["one", None, "", "two"])
    split = open_corpus(directory, reference(directory)).split("train", 0)
    assert sorted(document.text for document in split) == ["one", "two"]
    assert split.skipped == {"no_text": 2}


def test_bytes_are_those_of_the_utf8_text(tmp_path):
    directory = write_dataset(tmp_path / "data", ["über 日本"])
    (document,) = open_corpus(directory, reference(directory)).split("train", 0)
    assert document.text_bytes == 12


def test_licences_are_counted_with_the_unknown_ones(dataset):
    split = open_corpus(dataset, reference(dataset)).split("train", 0)
    assert split.licenses() == {"CC0-1.0": 13, "not stated": 7}


def test_shard_without_text_is_a_schema_error(tmp_path, dataset):
    shard = dataset / "shards" / "eval-00000-of-00002.arrow"
    record = write_shard(shard, pa.table({"doc_id": ["a"]}))
    manifest = read_manifest(dataset)
    entries = [
        entry.model_copy(update={"bytes": record.bytes, "sha256": record.sha256})
        if entry.path.endswith(shard.name)
        else entry
        for entry in manifest.shards
    ]
    text = manifest.model_copy(update={"shards": entries}).model_dump_json()
    (dataset / "manifest.json").write_text(text)
    corpus = open_corpus(dataset, reference(dataset))
    with pytest.raises(SchemaError, match=r"eval-00000.*has no column 'source' \(found doc_id\)"):
        corpus.split("eval", 0)
