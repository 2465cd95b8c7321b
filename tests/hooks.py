"""A function of the kind that the stage paraphrase takes."""

from collections.abc import Sequence


def shout(texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Says a text louder, with as many marks as chance wants."""
    return [text.upper() + "!" * (seed % 9) for text, seed in zip(texts, seeds, strict=True)]
