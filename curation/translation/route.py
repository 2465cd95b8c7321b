"""Sentences through a chain of languages and back, each translated once and never again.

    en --(model 1)--> pt --(model 2)--> en

Each hop looks into the cache first, and what it makes goes into it before the next sentences are
translated. Protected spans are carried through the whole chain (`curation.translation.protect`).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from curation.translation.cache import TranslationCache, cache_key
from curation.translation.engine import ModelSpec, Translated
from curation.translation.engines import load_model, route_digest
from curation.translation.layout import Sentence, find_parts, put_together
from curation.translation.protect import WAYS, Marked, Way, marked, pieces

_LETTER = re.compile(r"[^\W\d_]")


class Hop(NamedTuple):
    """One step of a chain."""

    spec: ModelSpec
    digest: str
    """Of engine and model, as `find_model` gives it."""


class Answer(NamedTuple):
    """What became of one sentence."""

    text: str
    way: Way
    """How its protected spans came through."""
    unknown: int
    """Words that the first engine did not know."""


class Text(NamedTuple):
    """What became of one text."""

    text: str
    sentences: int
    """Sentences that were translated."""
    in_pieces: int
    """Those of them that were translated in pieces, for what stands between."""
    unknown: int
    """Words that an engine left as they were."""


@dataclass(frozen=True)
class Route:
    """A chain of hops, with the cache of what they made."""

    hops: tuple[Hop, ...]
    cache: TranslationCache
    window: int = 400
    """Most characters of a sentence; a longer one is cut."""

    def translate_texts(self, texts: Sequence[str], salt: str = "") -> list[Text]:
        """Takes n texts through the chain; what is no sentence stays as it is.

        Args:
            texts: n texts.
            salt: Words are drawn anew for another one.
        """
        laid_out = [find_parts(text, self.window) for text in texts]
        lines = [[part.line for part in parts if isinstance(part, Sentence)] for parts in laid_out]
        unique = list(dict.fromkeys(line for found in lines for line in found))
        answers = dict(zip(unique, self.translate(unique, salt), strict=True))
        made = []
        for parts, found in zip(laid_out, lines, strict=True):
            own = [answers[line] for line in found]
            made.append(
                Text(
                    put_together(parts, [answer.text for answer in own]),
                    len(own),
                    sum(answer.way == "pieces" for answer in own),
                    sum(answer.unknown for answer in own),
                )
            )
        return made

    def translate(self, sentences: Sequence[str], salt: str = "") -> list[Answer]:
        """Takes n sentences through the chain.

        Args:
            sentences: n lines without white space at their ends.
            salt: Words are drawn anew for another one.
        """
        answers: dict[int, Answer] = {}
        tried: dict[int, str] = {}
        for way in WAYS[:-1]:
            left = {
                row: marked(sentence, numbers=way == "numbered")
                for row, sentence in enumerate(sentences)
                if row not in answers
            }
            # Without numbers, the second way is the first again.
            new = {row: found for row, found in left.items() if tried.get(row) != found.text}
            tried.update((row, found.text) for row, found in new.items())
            answers.update(self._by_marks(sentences, new, way, salt))
        rest = [row for row in range(len(sentences)) if row not in answers]
        answers.update(
            zip(rest, self._by_pieces([sentences[row] for row in rest], salt), strict=True)
        )
        return [answers[row] for row in range(len(sentences))]

    def _by_marks(
        self, sentences: Sequence[str], found: dict[int, Marked], way: Way, salt: str
    ) -> dict[int, Answer]:
        answers = {}
        come_back = self._through([one.text for one in found.values()], salt)
        for (row, one), made in zip(found.items(), come_back, strict=True):
            text = one.restored(made.text)
            if not _LETTER.search(_without_marks(one)):
                answers[row] = Answer(sentences[row], way, 0)
            elif text is not None and _LETTER.search(made.text):
                answers[row] = Answer(text, way, made.unknown)
        return answers

    def _by_pieces(self, sentences: Sequence[str], salt: str) -> list[Answer]:
        cut = [pieces(sentence) for sentence in sentences]
        texts = [text for found in cut for translate, text in found if translate]
        come_back = iter(self._through(texts, salt))
        answers = []
        for found in cut:
            put, unknown = [], 0
            for translate, text in found:
                made = next(come_back) if translate else Translated(text)
                # A piece must bring no number along: the spans hold them all.
                good = made.text.strip() and not (translate and re.search(r"\d", made.text))
                put.append(made.text if good or not translate else text)
                unknown += made.unknown
            answers.append(Answer("".join(put), "pieces", unknown))
        return answers

    def _through(self, texts: Sequence[str], salt: str) -> list[Translated]:
        """Takes texts through all hops; one that is lost on the way comes back empty."""
        came = [Translated(text) for text in texts]
        for hop in self.hops:
            there = sorted({made.text for made in came if _LETTER.search(made.text)})
            made = dict(zip(there, self._hop(hop, there, salt), strict=True))
            came = [
                Translated(
                    " ".join(made[before.text].text.split()) if before.text in made else "",
                    before.unknown + (made[before.text].unknown if before.text in made else 0),
                )
                for before in came
            ]
        return came

    def _hop(self, hop: Hop, texts: Sequence[str], salt: str) -> list[Translated]:
        """Translates texts that are all different, but for those in the cache."""
        route = route_digest(hop.spec, hop.digest)
        drawn = hop.spec.decoding.method == "sample"
        seeds = [_seed(salt, text) if drawn else 0 for text in texts]
        keys = [
            cache_key(route, text, seed if drawn else None)
            for text, seed in zip(texts, seeds, strict=True)
        ]
        known = self.cache.find(keys)
        missing = [row for row, key in enumerate(keys) if key not in known]
        if missing:
            translator = load_model(hop.spec)
            for start in range(0, len(missing), translator.at_once):
                rows = missing[start : start + translator.at_once]
                made = translator.translate(
                    [texts[row] for row in rows], [seeds[row] for row in rows]
                )
                new = {keys[row]: one for row, one in zip(rows, made, strict=True)}
                self.cache.add(new)
                known |= new
        return [known[key] for key in keys]


def _without_marks(found: Marked) -> str:
    text = found.text
    for mark in found.marks:
        text = text.replace(mark, " ", 1)
    return text


def _seed(salt: str, text: str) -> int:
    """Returns a number below 2**64 for a sentence, the same wherever it stands."""
    digest = hashlib.blake2b(digest_size=8, person=b"translation")
    digest.update(f"{salt}\0".encode())
    digest.update(text.encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest(), "little")
