"""The tokenizer: a byte-level BPE trained on the corpus, or a given one.

A byte-level tokenizer can write any text, so there is no unknown token and bits per byte is
defined for every document. Documents come from the open web: their text never becomes a special
token, even where it spells one out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from curation.errors import RecipeError
from curation.finetune.corpus import Document
from curation.job import Job, TokenizerSpec

BOUNDARY = "<|document|>"
PAD = "<|pad|>"

PIECE_CHARS = 1 << 18
"""Longest text given to the encoder at once: its memory is some 100 times the text's."""
_GROUP_BYTES = 4 << 20

# Words with their leading space, at most three digits, runs of signs, runs of white space: the
# usual split of byte-level BPE; groups of digits are short so that numbers share their tokens.
_WORDS = r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"


class TextTokenizer(NamedTuple):
    """A tokenizer and the ids that stand at the borders of documents."""

    fast: Any
    """The transformers tokenizer that is saved with the model."""
    begin: int
    """Id before every document; in a new tokenizer it also ends the document before."""
    end: int | None
    """Id after every document where that is another one, else None."""

    @property
    def size(self) -> int:
        """Entries, special ones included."""
        return len(self.fast)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Returns the ids of each text, without any id at its borders."""
        pieces = [(number, piece) for number, text in enumerate(texts) for piece in _pieces(text)]
        encoded = self._backend.encode_batch_fast(
            [piece for _, piece in pieces], add_special_tokens=False
        )
        ids: list[list[int]] = [[] for _ in texts]
        for (number, _), encoding in zip(pieces, encoded, strict=True):
            ids[number].extend(encoding.ids)
        return ids

    def decode(self, ids: list[int]) -> str:
        """Returns the text of some ids, special tokens written out."""
        return str(self._backend.decode(ids, skip_special_tokens=False))

    @property
    def _backend(self) -> Tokenizer:
        backend: Tokenizer = self.fast.backend_tokenizer
        backend.encode_special_tokens = True  # "<|document|>" in a text is seven plain tokens
        return backend


def make_tokenizer(job: Job, documents: Iterable[Document]) -> TextTokenizer:
    """Trains or loads the tokenizer that a job asks for.

    Args:
        job: The job.
        documents: The train documents; read only where a tokenizer is trained.

    Raises:
        RecipeError: The corpus is too small for the vocabulary, or the given one is unusable.
    """
    spec = job.tokenizer
    if spec.kind == "train":
        return _describe(train_tokenizer(spec, documents))
    if spec.kind == "checkpoint":
        return _describe(_load_for_checkpoint(job))
    assert spec.path is not None
    return load_tokenizer(Path(spec.path))


def load_tokenizer(path: Path) -> TextTokenizer:
    """Loads a tokenizer from a directory with tokenizer.json, or from that file.

    Raises:
        RecipeError: There is none, or it cannot set documents apart.
    """
    return _describe(_load_from_path(path))


def train_tokenizer(spec: TokenizerSpec, documents: Iterable[Document]) -> Any:
    """Trains a byte-level BPE tokenizer; the same documents in the same order give the same one.

    Source: Sennrich et al. 2016 (BPE); Radford et al. 2019 (over bytes).

    Raises:
        RecipeError: The documents have fewer different pairs than the vocabulary needs merges.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        special_tokens=[BOUNDARY, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sample(documents, spec.sample_bytes), trainer)
    if tokenizer.get_vocab_size() < spec.vocab_size:
        raise RecipeError(
            f"tokenizer.vocab_size {spec.vocab_size:,} is too large for this corpus, whose text "
            f"gives {tokenizer.get_vocab_size():,} entries; set it to that or less"
        )
    # A prompt for generation starts as every document in training did.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOUNDARY} $A",
        pair=f"{BOUNDARY} $A {BOUNDARY} $B:1",
        special_tokens=[(BOUNDARY, tokenizer.token_to_id(BOUNDARY))],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOUNDARY,
        eos_token=BOUNDARY,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
    )


def encode_documents(
    tokenizer: TextTokenizer, documents: Iterable[Document]
) -> Iterator[tuple[Document, list[int]]]:
    """Yields each document with its ids; encodes in groups of a few megabytes, on all cores."""
    group: list[Document] = []
    group_bytes = 0
    for document in documents:
        group.append(document)
        group_bytes += document.text_bytes
        if group_bytes >= _GROUP_BYTES:
            yield from _encode_group(tokenizer, group)
            group, group_bytes = [], 0
    yield from _encode_group(tokenizer, group)


def _encode_group(
    tokenizer: TextTokenizer, group: list[Document]
) -> Iterator[tuple[Document, list[int]]]:
    ids = tokenizer.encode([document.text for document in group])
    return zip(group, ids, strict=True)


def _pieces(text: str) -> Iterator[str]:
    """Cuts a very long text, at a line's end if there is one in the last quarter."""
    start = 0
    while len(text) - start > PIECE_CHARS:
        stop = start + PIECE_CHARS
        line = text.rfind("\n", stop - PIECE_CHARS // 4, stop) + 1
        yield text[start : line or stop]
        start = line or stop
    yield text[start:]


def _sample(documents: Iterable[Document], limit: int) -> Iterator[str]:
    taken = 0
    for document in documents:
        if taken >= limit:
            return
        taken += document.text_bytes
        yield from _pieces(document.text)


def _load_from_path(path: Path) -> Any:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise RecipeError(
            f"tokenizer.path {path}: holds no tokenizer.json; give a directory that "
            "`save_pretrained` wrote, or the file itself"
        )
    if (file.parent / "tokenizer_config.json").is_file():
        return AutoTokenizer.from_pretrained(
            str(file.parent), local_files_only=True, trust_remote_code=False
        )
    fast = PreTrainedTokenizerFast(tokenizer_file=str(file))  # type: ignore[no-untyped-call]
    known = fast.get_vocab()
    if BOUNDARY in known:
        fast.bos_token = fast.eos_token = BOUNDARY
    return fast


def _load_for_checkpoint(job: Job) -> Any:
    name, revision = checkpoint_name(job)
    try:
        return AutoTokenizer.from_pretrained(
            name,
            revision=revision,
            local_files_only=job.model.hub_id is None,
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        raise RecipeError(
            f"model.checkpoint {job.model.checkpoint}: its tokenizer cannot be loaded "
            f"({str(error).splitlines()[0]:.160})"
        ) from error


def checkpoint_name(job: Job) -> tuple[str, str | None]:
    """Returns what transformers loads: a directory or a hub id, and the revision or None."""
    if job.model.hub_id is None:
        return str(job.model.checkpoint), None
    name, _, revision = job.model.hub_id.partition("@")
    return name, revision or None


def _describe(fast: Any) -> TextTokenizer:
    begin = fast.bos_token_id if fast.bos_token_id is not None else fast.eos_token_id
    if begin is None:
        raise RecipeError(
            "the given tokenizer has neither a bos nor an eos token to set documents apart; "
            "expected one of them in its tokenizer_config.json"
        )
    if not hasattr(fast, "backend_tokenizer"):
        raise RecipeError(
            f"the given tokenizer ({type(fast).__name__}) has no fast implementation; "
            "expected one with a tokenizer.json"
        )
    end = fast.eos_token_id if fast.eos_token_id not in (None, begin) else None
    return TextTokenizer(fast, begin, end)
