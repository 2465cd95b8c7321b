"""Kinds by name, whose modules are loaded when they are asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from curation.stage import Stage


class LazyKinds(Mapping[str, type[Stage]]):
    """Loads a kind when it is asked for: all take a second or two, and a recipe has a few.

    The kind `url_filter` is the class `UrlFilter` of the module `url_filter`.
    """

    def __init__(self, package: str, *kinds: str) -> None:
        """Takes the package in which each kind has its module, and the kinds in their order."""
        self._kinds = {kind: f"{package}.{kind}" for kind in kinds}

    def __getitem__(self, kind: str) -> type[Stage]:
        module = import_module(self._kinds[kind])
        model: type[Stage] = getattr(module, kind.title().replace("_", ""))
        return model

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)
