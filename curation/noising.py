"""Noise as a chain of kernels: sentences, then words, then characters, then masked spans.

What happens to a text depends on its key at each level and on the rates alone.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.buffers import TextBuffers
from curation.errors import DataError
from curation.text import noise_chars, noise_sentences, noise_words
from curation.text.chance import keys_of
from curation.text.edits import text_distances
from curation.text.spans import Masking, mask_spans, masking

Ints = npt.NDArray[np.int64]

LEVELS: Mapping[str, tuple[str, ...]] = {
    "sentences": noise_sentences.OPERATIONS,
    "words": noise_words.OPERATIONS,
    "characters": noise_chars.OPERATIONS,
    "spans": ("span_mask",),
}
"""Operations by level, in the order in which levels work."""
OPERATIONS = tuple(name for level in LEVELS.values() for name in level)
MASKS = "span_mask"

ABOUT: Mapping[str, tuple[str, str]] = {
    "sentence_shuffle": ("sentence", "takes part in a shuffle of those that do"),
    "sentence_drop": ("sentence", "goes; one always stays"),
    "word_delete": ("word", "goes"),
    "word_repeat": ("word", "comes twice"),
    "word_swap": ("word with another one behind it", "trades places with that"),
    "word_split": ("word of two characters or more", "gets a blank inside"),
    "word_join": ("word with another one behind it", "is written together with that"),
    "word_misspell": ("word of the list", "is written as people write it wrongly"),
    "keyboard": ("character of the layout", "becomes the key beside it"),
    "insert": ("character of the layout", "brings the key beside it along"),
    "case": ("letter with another case", "gets the other case"),
    "ocr": ("character that scanners misread, or two", "becomes what they are taken for"),
    "homoglyph": ("letter with a look-alike", "becomes that of another script"),
    "diacritics": ("letter with a mark, or mark", "loses it"),
    "space_repeat": ("blank, line feed, tab", "comes twice"),
    "space_change": ("blank, line feed, tab, no-break space", "becomes other white space"),
    "punctuation_delete": ("mark", "goes"),
    "punctuation_change": ("mark", "becomes another one"),
    "delete": ("letter or digit", "goes"),
    "repeat": ("letter or digit", "comes twice"),
    "swap": ("two letters or digits that differ", "trade places"),
    "punctuation_insert": ("white space behind a letter or digit", "gets a mark before it"),
    "span_mask": ("share of the words", "is masked, in spans"),
}
"""What each operation is for, and what happens then."""

Task = Literal["none", "clean", "t5", "bart"]

MOST_STEPS = 1 << 27
"""Blocks of 64 cells that an edit distance may take: about a third of a second."""
_WORD_CHARS, _SENTENCE_CHARS = 8, 64
"""By how many characters an edit of a word or a sentence changes a text, about: a guess."""

CODESPELL = "codespell"


class Spans(NamedTuple):
    """How spans of words are masked."""

    mean: float
    mask: str
    poisson: bool


class Noised(NamedTuple):
    """What became of n texts."""

    texts: TextBuffers
    targets: TextBuffers | None
    """Of spans in the manner of T5."""
    edits: Ints
    """int64[n, levels]: edits of each level, masked words at the last one."""
    spans: Ints
    """int64[n, 3]: words, masked words, spans; zeros without spans."""
    distances: Ints
    """int64[n, 4], as `text_distances` gives them, to the texts as they were."""


class Noise:
    """Makes noise at some rates; made once, called with each batch."""

    def __init__(
        self,
        rates: Mapping[str, float],
        layout: str,
        wrong: Mapping[str, Sequence[str]],
        spans: Spans,
    ) -> None:
        """Packs tables for the kernels of those levels that have a rate above 0."""
        on = {level for level, names in LEVELS.items() if any(rates.get(n, 0) for n in names)}
        self._sentences = noise_sentences.sentence_bounds(rates) if "sentences" in on else None
        self._words = noise_words.word_noise(rates, wrong) if "words" in on else None
        self._characters = (
            noise_chars.character_noise(rates, layout) if "characters" in on else None
        )
        self._masks: Masking | None = None
        if "spans" in on:
            share = rates[MASKS]
            self._masks = masking(share, spans.mean, spans.mask, poisson=spans.poisson)

    def __call__(self, texts: TextBuffers, names: Sequence[str], seed: int, stage: str) -> Noised:
        """Makes noise in n texts.

        Args:
            texts: The texts.
            names: n names that chance comes from: doc_id and number of the child.
            seed: Chance comes from it,
            stage: and from the name of the stage, too.
        """
        rows = len(names)
        edits, spans = np.zeros((rows, len(LEVELS)), np.int64), np.zeros((rows, 3), np.int64)
        targets, found = None, texts
        if self._sentences is not None:
            keys = keys_of(seed, names, f"{stage}/sentences")
            offsets, data, counts = noise_sentences.noise_sentences(*found, keys, self._sentences)
            found, edits[:, 0] = _buffers(offsets, data), counts.sum(1)
        if self._words is not None:
            keys = keys_of(seed, names, f"{stage}/words")
            offsets, data, counts = noise_words.noise_words(*found, keys, self._words)
            found, edits[:, 1] = _buffers(offsets, data), counts.sum(1)
        if self._characters is not None:
            keys = keys_of(seed, names, f"{stage}/characters")
            offsets, data, counts = noise_chars.noise_characters(*found, keys, self._characters)
            found, edits[:, 2] = _buffers(offsets, data), counts.sum(1)
        if self._masks is not None:
            keys = keys_of(seed, names, f"{stage}/spans")
            one, other, spans = mask_spans(*found, keys, self._masks)
            found, targets, edits[:, 3] = _buffers(*one), _buffers(*other), spans[:, 1]
        guesses = edits @ np.array([_SENTENCE_CHARS, _WORD_CHARS, 2, _WORD_CHARS]) + 16
        distances = text_distances(*texts, *found, guesses, MOST_STEPS)
        return Noised(found, targets, edits, spans, distances)


def _buffers(offsets: Ints, data: npt.NDArray[np.uint8]) -> TextBuffers:
    # Read-only like Arrow's: every kernel is compiled once.
    offsets.flags.writeable = False
    data.flags.writeable = False
    return TextBuffers(offsets, data)


def codespell_dictionary() -> Path | None:
    """Returns the list of misspellings of the package codespell (CC-BY-SA 3.0), where installed.

    It is read where it lies and never copied into a dataset or this package.
    """
    found = find_spec("codespell_lib")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "data" / "dictionary.txt"


@lru_cache(maxsize=4)
def read_misspellings(path: Path, digest: str) -> dict[str, list[str]]:  # noqa: ARG001
    """Reads misspellings by word from lines `wrong->right` or `wrong->right, also right,`.

    Args:
        path: The file, UTF-8; empty lines and those that start with # say nothing.
        digest: Of the file; another one is another list.

    Raises:
        DataError: It cannot be read, or no line has an arrow.
    """
    wrong: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"misspellings {path}: cannot be read ({error}); expected UTF-8 lines 'wrong->right'"
        ) from error
    for line in lines:
        bad, arrow, good = line.partition("->")
        if not arrow or line.startswith("#"):
            continue
        for word in (part.strip() for part in good.split(",")):
            if word:
                wrong.setdefault(word, []).append(bad.strip())
    usable = noise_words.usable(wrong)
    if not usable:
        raise DataError(
            f"misspellings {path}: no line holds 'wrong->right' of words in letters and digits of "
            "ASCII; expected such lines; give a list in that form"
        )
    return usable


EXAMPLE = (
    "Dr. M\u00fcller's clinic saw their patients on the morning of 12 May. Nobody knew, however, "
    "which of them had received the new medicine."
)


def examples() -> list[tuple[str, str, str, str]]:
    """Returns for each operation: name, what it is for, what happens, and the example with it.

    Operations without a hit in the example at a low rate are shown at higher ones. The misspellings
    are a few of ours: what the package codespell has is not copied.
    """
    return [(name, *ABOUT[name], _example(name)) for name in OPERATIONS]


_OURS = {"morning": ["mornig"], "nobody": ["nobdy"]}


def _example(name: str) -> str:
    data = np.frombuffer(EXAMPLE.encode(), np.uint8)
    texts = _buffers(np.array([0, len(data)], np.int64), data.copy())
    spans = Spans(3.0, "<extra_id_{n}>", poisson=False)
    for rate in (0.04, 0.12, 0.5, 1.0):
        noise = Noise({name: rate}, "qwerty", _OURS, spans)
        for number in range(4):
            noised = noise(texts, [f"example {number}"], 1, "noise")
            found = bytes(noised.texts.data).decode()
            if found != EXAMPLE:
                target = noised.targets and bytes(noised.targets.data).decode()
                return f"{found} -> {target}" if target else found
    return "no hit"
