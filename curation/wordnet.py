"""Synonyms from WordNet's own files, which are read in place: `index.noun`, `data.noun` and so on.

Source: Miller 1995, "WordNet: A Lexical Database for English"; Fellbaum 1998; the format is that of
the manual page wndb(5WN). The files are in Debian's package `wordnet-base`, in Princeton's own
archives and in NLTK's corpus `wordnet`; their licence (WordNet 3.0 licence) lets them be used and
spread for any purpose. No package is imported.

A word has synonyms here if it can be replaced without knowing the sentence: it is of one part of
speech only, has few senses, and what replaces it is mostly used in that very sense.
"""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from curation.plainfile import digest_of_all

PartOfSpeech = Literal["noun", "verb", "adj", "adv"]
PARTS: tuple[PartOfSpeech, ...] = ("noun", "verb", "adj", "adv")
INSTALLED = "installed"
"""Stands for wherever WordNet is found."""
_FILES = [f"{kind}.{part}" for kind in ("index", "data") for part in PARTS]
_VOWELS = "aeiou"
_INSTALL = "install it, e.g. with: apt install wordnet-base, or name its directory"


class Reading(NamedTuple):
    """One way to read a word: a lemma and how it is inflected."""

    part: PartOfSpeech
    lemma: str
    ending: Literal["", "s", "ed", "ing"]


class Entry(NamedTuple):
    """What the index says of a lemma."""

    senses: tuple[int, ...]
    """Where its senses are told, the most frequent first."""
    tagged: bool
    """The texts that WordNet's senses were counted in have it."""


class WordNet:
    """The database in a directory."""

    def __init__(self, directory: Path) -> None:
        """Reads its files into memory: 28 MB."""
        self._index = {part: (directory / f"index.{part}").read_bytes() for part in PARTS}
        self._data = {part: (directory / f"data.{part}").read_bytes() for part in PARTS}
        self._irregular = {part: _irregular(directory / f"{part}.exc") for part in PARTS}

    def synonyms(self, word: str, most_senses: int) -> list[str]:
        """Returns what may stand for a word, inflected like it, in alphabetical order.

        Args:
            word: In lower case.
            most_senses: Words of more senses have no synonyms here.
        """
        return list(self._synonyms(word, most_senses))

    @lru_cache(maxsize=200_000)  # noqa: B019 - one object per process
    def _synonyms(self, word: str, most_senses: int) -> tuple[str, ...]:
        readings = list(self._readings(word))
        if len({(reading.part, reading.lemma) for reading in readings}) != 1:
            return ()
        [reading] = readings[:1]
        senses = self._entry(reading.part, reading.lemma).senses
        if len(senses) > most_senses:
            return ()
        found = {
            self._inflected(lemma, reading)
            for lemma in self._members(reading.part, senses[0])
            if lemma != reading.lemma and self._means(reading.part, lemma, senses[0])
        }
        return tuple(sorted(made for made in found if made is not None and made != word))

    def _means(self, part: PartOfSpeech, lemma: str, sense: int) -> bool:
        """Says whether a lemma is one word, in use, and used mostly in a sense.

        A rare sense of another word is no synonym ("dog" is not "frump"), and half of all lemmas
        are so rare that the tagged texts behind WordNet have them not once ("febricity").
        """
        entry = self._entry(part, lemma)
        return lemma.isalpha() and lemma.islower() and entry.tagged and entry.senses[0] == sense

    def _readings(self, word: str) -> Iterator[Reading]:
        if word in self._irregular["noun"] | self._irregular["verb"]:
            return
        for part in PARTS:
            if self._entry(part, word).senses:
                yield Reading(part, word, "")
        for part, ending, stem in _stems(word):
            if self._entry(part, stem).senses:
                yield Reading(part, stem, ending)

    def _inflected(self, lemma: str, reading: Reading) -> str | None:
        if not reading.ending:
            return lemma
        if lemma in self._irregular_lemmas(reading.part):
            return None
        made = _with_ending(lemma, reading.ending)
        # What cannot be taken apart again was not put together right.
        back = {stem for part, ending, stem in _stems(made) if ending == reading.ending}
        return made if lemma in back else None

    @lru_cache(maxsize=4)  # noqa: B019 - one object per process
    def _irregular_lemmas(self, part: PartOfSpeech) -> frozenset[str]:
        return frozenset(self._irregular[part].values())

    @lru_cache(maxsize=100_000)  # noqa: B019 - as above
    def _entry(self, part: PartOfSpeech, lemma: str) -> Entry:
        line = _line_of(self._index[part], lemma.encode("ascii", "replace"))
        if line is None or not lemma:
            return Entry((), tagged=False)
        fields = line.split()
        senses = int(fields[2])
        return Entry(tuple(map(int, fields[-senses:])), tagged=int(fields[-senses - 1]) > 0)

    def _members(self, part: PartOfSpeech, offset: int) -> Iterator[str]:
        data = self._data[part]
        fields = data[offset : data.index(b"\n", offset)].decode("ascii", "replace").split()
        for place in range(int(fields[3], 16)):
            yield re.sub(r"\((?:a|p|ip)\)$", "", fields[4 + 2 * place])


def same_start(word: str, other: str) -> bool:
    """Says whether two words take the same article, by their first letters."""
    return (word[:1].lower() in _VOWELS) == (other[:1].lower() in _VOWELS)


def find_wordnet(name: str) -> Path:
    """Returns the directory of WordNet's files.

    Args:
        name: A directory, or `INSTALLED`.

    Raises:
        ValueError: It is not there; one line.
    """
    places = list(_places()) if name == INSTALLED else [Path(name), Path(name) / "dict"]
    for place in places:
        if all((place / file).is_file() for file in _FILES):
            return place
    looked = ", ".join(map(str, places))
    raise ValueError(f"wordnet '{name}': no WordNet with {_FILES[0]} in {looked}; {_INSTALL}")


def wordnet_digest(directory: Path) -> str:
    """Returns the SHA-256 of what is read of a directory."""
    names = [*_FILES, *(f"{part}.exc" for part in PARTS)]
    return digest_of_all((name, directory / name) for name in names if (directory / name).is_file())


@lru_cache(maxsize=2)
def load_wordnet(directory: Path, digest: str) -> WordNet:  # noqa: ARG001 - names the content
    """Loads WordNet, once per process and content."""
    return WordNet(directory)


def _places() -> Iterator[Path]:
    for variable in ("WNSEARCHDIR", "WNHOME"):
        if os.environ.get(variable):
            yield Path(os.environ[variable])
            yield Path(os.environ[variable]) / "dict"
    yield from (Path("/usr/share/wordnet"), Path("/usr/local/WordNet-3.0/dict"))
    roots = [*filter(None, os.environ.get("NLTK_DATA", "").split(os.pathsep))]
    for root in (*roots, "~/nltk_data", "/usr/share/nltk_data", "/usr/local/share/nltk_data"):
        yield Path(root).expanduser() / "corpora" / "wordnet"


def _line_of(index: bytes, lemma: bytes) -> bytes | None:
    """Finds a lemma's line in an index, whose lines are in the order of their bytes."""
    wanted, low, high = lemma + b" ", 0, len(index)
    while low < high:
        middle = index.rfind(b"\n", 0, (low + high) // 2) + 1
        if middle < low:
            middle = low
        end = index.find(b"\n", middle)
        line = index[middle : end if end >= 0 else len(index)]
        if line.startswith(wanted):
            return line
        if line < wanted:
            low = middle + len(line) + 1
        else:
            high = middle
    return None


def _irregular(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = (
        line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines()
    )
    return {row[0]: row[1] for row in rows if len(row) > 1}


def _stems(word: str) -> Iterator[tuple[PartOfSpeech, Literal["s", "ed", "ing"], str]]:
    """Yields the lemmas that a word may be a regular form of."""
    if word.endswith("s") and not word.endswith("ss"):
        stem = _without_s(word)
        yield "noun", "s", stem
        yield "verb", "s", stem
    elif word.endswith("ed"):
        yield from (("verb", "ed", stem) for stem in _without_ending(word[:-2]))
        if word.endswith("ied"):
            yield "verb", "ed", word[:-3] + "y"
    elif word.endswith("ing"):
        yield from (("verb", "ing", stem) for stem in _without_ending(word[:-3]))


def _without_s(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes", "zes")) else word[:-1]


def _without_ending(stem: str) -> list[str]:
    """Returns the lemmas that -ed or -ing may have been put to: fill, hope, stop."""
    if len(stem) < 2:
        return []
    return [stem, stem + "e", *([stem[:-1]] if stem[-1] == stem[-2] else [])]


def _with_ending(lemma: str, ending: str) -> str:
    """Inflects a regular lemma; doubled consonants are not known, so such a form is not made."""
    consonant_y = lemma.endswith("y") and lemma[-2:-1] not in _VOWELS
    if ending == "s":
        if consonant_y:
            return lemma[:-1] + "ies"
        return lemma + ("es" if lemma.endswith(("ch", "sh", "s", "x", "z")) else "s")
    if ending == "ed":
        if consonant_y:
            return lemma[:-1] + "ied"
        return lemma + ("d" if lemma.endswith("e") else "ed")
    if lemma.endswith("e") and not lemma.endswith(("ee", "ye", "oe", "ie")):
        return lemma[:-1] + "ing"
    return lemma + "ing"
