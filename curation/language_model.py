"""fastText models of languages: which language a text is in, and how sure the model is of one.

The packaged model knows 176 languages: Joulin et al. 2016, "Bag of tricks for efficient text
classification", lid.176 in its compressed form.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGED_MODEL = Path(__file__).parent / "models" / "lid.176.ftz"

UNDETERMINED = "und"
"""Label of a text without letters (ISO 639-2), with probability 0: no model can know."""

_LETTER = re.compile(r"[^\W\d_]")
_NO_TOKEN = re.compile(r"\s+|</s>")
"""White space, and the token at which fastText stops to read."""
_PREFIX = "__label__"
_ALL = -1


class Guess(NamedTuple):
    """What the model says of one text."""

    label: str
    probability: float


def sample_of(text: str, chars: int) -> str:
    """Returns what of a text a model looks at: a page can begin with a screen of numbers.

    Args:
        text: Any text.
        chars: Characters that are looked at, from the first letter on where the head has none.
    """
    head = text[:chars]
    if _LETTER.search(head):
        return head
    letter = _LETTER.search(text)
    return text[letter.start() : letter.start() + chars] if letter else ""


def identify(model: Any, text: str) -> Guess:
    """Returns a fastText model's most probable label of a text.

    Args:
        model: What `fasttext.load_model` returned.
        text: Any text; line breaks count as spaces.
    """
    found = _predict(model, text, 1)
    return _guess(*found[0]) if found else Guess(UNDETERMINED, 0.0)


def probability_of(model: Any, text: str, label: str) -> float:
    """Returns how probable a fastText model finds one label of a text, to six decimals.

    Args:
        model: What `fasttext.load_model` returned.
        text: Any text; line breaks count as spaces.
        label: As `identify` writes it; 0 where the model does not know it.
    """
    for most in (1, _ALL):  # the first is nearly always the one, and all take their time
        for found in _predict(model, text, most):
            guess = _guess(*found)
            if guess.label == label:
                return guess.probability
    return 0.0


def _predict(model: Any, text: str, most: int) -> list[tuple[float, str]]:
    line = _NO_TOKEN.sub(" ", text)
    if not line.strip():
        return []
    # The method `predict` of the Python class fails under NumPy 2; this is what it calls.
    found: list[tuple[float, str]] = model.f.predict(line + "\n", most, 0.0, "strict")
    return found


def _guess(probability: float, label: str) -> Guess:
    # Sums of float32 come out as 1.00001, too.
    return Guess(label.removeprefix(_PREFIX), round(min(probability, 1.0), 6))


@lru_cache(maxsize=4)
def load_languages(path: Path, digest: str) -> Any:  # noqa: ARG001 - names the content
    """Loads a model, once per process and content.

    Raises:
        ValueError: The file is no fastText model.
    """
    import fasttext

    try:
        return fasttext.load_model(str(path))
    except (ValueError, MemoryError) as error:
        raise ValueError(f"model '{path}' is no fastText model: {error}") from error


def labels_of(model: Any) -> frozenset[str]:
    """Returns the languages that a model knows.

    Raises:
        ValueError: It has no labels.
    """
    labels = model.get_labels()
    if not labels or not labels[0].startswith(_PREFIX):
        raise ValueError("model has no labels: it is no fastText classifier; give one of languages")
    return frozenset(label.removeprefix(_PREFIX) for label in labels)
