"""The held-out documents: whose they are, and that no training text holds one of them.

A document is told by the BLAKE2b digest of its words in lower case, whatever stands between them:
the same reduction as `exact_dedup` with `normalize = "text"`.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curation.buffers import text_buffers
from curation.errors import DataError
from curation.finetune.corpus import HELD_OUT_SEED, Corpus, Document, open_corpus
from curation.handoff import CorpusRef, PreparedJob
from curation.text.fold import fold_words

_ROWS = 1024
"""Documents reduced at once: some megabytes of text."""


class HeldOutSet(NamedTuple):
    """The documents to score; chosen by a hash of their id, the same for all jobs on a dataset."""

    documents: list[Document]
    dataset: CorpusRef | None
    """None: the eval documents of the corpus itself."""
    also_in_training: int
    """Documents whose words also stand in a training text."""


def choose_held_out(prepared: PreparedJob, corpus: Corpus) -> HeldOutSet:
    """Reads the documents to score, and checks them against all training texts of the corpus.

    Raises:
        DataError: `data.held_out` is not, byte for byte, what the job was made for, has no
            documents with text, or a training text has the words of one of them.
    """
    wanted, where = prepared.held_out, prepared.job.data.held_out
    limit = prepared.job.data.eval_documents
    if wanted is None or where is None:
        documents = _first(corpus, "eval", limit)
        return HeldOutSet(documents, None, len(_shared(documents, corpus)))
    apart = open_corpus(Path(where), wanted)
    has_eval = any(shard.documents for shard in apart.manifest.shards if shard.split == "eval")
    documents = _first(apart, "eval" if has_eval else None, limit)
    if not documents:
        raise DataError(f"data.held_out {where}: has no documents with text; expected at least one")
    shared = _shared(documents, corpus)
    if shared:
        raise DataError(
            f"data.held_out {where}: {len(shared):,} of {len(documents):,} documents have the "
            f"words of a training text ({shared[0].doc_id} the first); a score on them would be "
            "no held-out score; remove them from the corpus (the stage `decontaminate`, or "
            '`exact_dedup` with normalize = "text" against this dataset)'
        )
    return HeldOutSet(documents, wanted, 0)


def _first(corpus: Corpus, split: str | None, limit: int | None) -> list[Document]:
    documents = []
    for document in corpus.split(split, HELD_OUT_SEED):
        documents.append(document)
        if len(documents) == limit:
            break
    return documents


def _shared(documents: list[Document], corpus: Corpus) -> list[Document]:
    """Returns the documents whose words are those of a train document, in the order given."""
    by_key: dict[bytes, list[Document]] = {}
    for at in range(0, len(documents), _ROWS):
        group = documents[at : at + _ROWS]
        texts = pa.array([document.text for document in group], pa.large_string())
        for key, document in zip(word_keys(texts), group, strict=True):
            by_key.setdefault(key, []).append(document)
    found: set[bytes] = set()
    if by_key:
        for texts in corpus.split("train", HELD_OUT_SEED).texts(_ROWS):
            found.update(key for key in word_keys(texts) if key in by_key)
    ids = {document.doc_id for key in found for document in by_key[key]}
    return [document for document in documents if document.doc_id in ids]


def word_keys(texts: pa.Array) -> list[bytes]:
    """Returns a 16-byte key for each text; texts of the same words in their order agree.

    Args:
        texts: A large_string array; null counts as empty.
    """
    offsets, data = fold_words(*text_buffers(texts), False)  # noqa: FBT003 - by position, for numba
    view = data.data
    return [
        hashlib.blake2b(view[start:end], digest_size=16).digest()
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
