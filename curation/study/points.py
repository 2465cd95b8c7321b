"""The runs that a law is fitted to: numbers in the order of their cells, and what was left out."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import DataError, RecipeError, unknown_name
from curation.study.forms import Array, Facts, Places
from curation.study.runs import RUN_COLUMNS

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": le, ">=": ge, "!=": ne, "<": lt, ">": gt, "=": eq,
}  # fmt: skip
_RULE = re.compile(r"\s*([a-z_]+)\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*")
_HIGHEST = re.compile(r"\s*highest-loss\s*=\s*([0-9]{1,9})\s*")


@dataclass(frozen=True)
class Points:
    """Usable runs, in the order of their cells, so that results do not depend on the file's."""

    cells: tuple[str, ...]
    recipes: tuple[str, ...]
    """Names; `facts.recipe` are places here."""
    facts: Facts
    loss: Array
    """`[n]`, above 0."""

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, rows: Places) -> "Points":
        """Returns some of the runs; the list of recipes stays."""
        cells = tuple(self.cells[row] for row in rows)
        return Points(cells, self.recipes, self.facts.take(rows), self.loss[rows])

    @property
    def compute(self) -> Array:
        """The logarithm of N D."""
        return self.facts.parameters + self.facts.tokens

    def digest(self) -> str:
        """Returns the SHA-256 of all numbers that a fit sees."""
        digest = hashlib.sha256("\0".join((*self.cells, "", *self.recipes)).encode())
        for name in self.facts.__dataclass_fields__:
            digest.update(np.ascontiguousarray(getattr(self.facts, name)).tobytes())
        digest.update(np.ascontiguousarray(self.loss).tobytes())
        return digest.hexdigest()


def points_of(table: pa.Table, exclude: Iterable[str] = ()) -> tuple[Points, list[tuple[str, str]]]:
    """Returns the runs that can be fitted, and of each other one its cell and why not.

    Args:
        table: `RUN_COLUMNS`.
        exclude: Rules for runs to leave out: `loss>5`, `recipe=raw`, `cell=0a1b`, and
            `highest-loss=5` for the five with the highest loss of what is left by the others.

    Raises:
        RecipeError: A rule cannot be read, or names a column that does not exist.
        DataError: Nothing is left.
    """
    rules = [_rule(text) for text in exclude]
    rows = sorted(table.to_pylist(), key=lambda row: row["cell"])
    kept, out = [], []
    for row in rows:
        why = row["reason"] or row["status"] if row["status"] != "done" else ""
        why = why or next((text for text, broken in rules if broken(row)), "")
        if why:
            out.append((row["cell"], why))
        else:
            kept.append(row)
    for text in exclude:
        if (found := _HIGHEST.fullmatch(text)) is not None:
            kept.sort(key=lambda row: (row["loss"], row["cell"]))
            many = min(int(found[1]), len(kept))
            out += [(row["cell"], text) for row in kept[len(kept) - many :]]
            kept = sorted(kept[: len(kept) - many], key=lambda row: row["cell"])
    if not kept:
        raise DataError(
            f"runs: none of {len(rows)} can be fitted ({_commonest(out)}); expected some that are "
            "done and not left out"
        )
    return _points(kept), out


def make_points(
    loss: Sequence[float] | Array,
    parameters: Sequence[float] | Array,
    tokens: Sequence[float] | Array,
    **more: Any,
) -> Points:
    """Returns points from plain arrays of equal length, for designs and simulations.

    Args:
        loss: Above 0.
        parameters: N.
        tokens: D, presented.
        more: `unique_tokens`, `quality`, `resources` (default: D, 1, 1) and `recipe` (names).
    """
    names = [str(name) for name in more.get("recipe", [""] * len(loss))]
    recipes = tuple(sorted(set(names)))
    ones = np.ones(len(loss))
    given = (
        parameters,
        tokens,
        more.get("unique_tokens", tokens),
        more.get("quality", ones),
        more.get("resources", ones),
    )
    size, presented, unique, quality, resources = (np.log(np.asarray(one, float)) for one in given)
    places = np.array([recipes.index(name) for name in names], np.int64)
    facts = Facts(size, presented, unique, quality, resources, places)
    cells = tuple(f"{place:06x}" for place in range(len(loss)))
    return Points(cells, recipes, facts, np.asarray(loss, float))


def _points(rows: Sequence[dict[str, Any]]) -> Points:
    found = make_points(
        [row["loss"] for row in rows],
        [row["parameters"] for row in rows],
        [row["tokens"] for row in rows],
        # More unique tokens than tokens cannot be: then all were.
        unique_tokens=[min(row["unique_tokens"] or row["tokens"], row["tokens"]) for row in rows],
        quality=[row["quality"] or 1.0 for row in rows],
        resources=[row["devices"] or 1 for row in rows],
        recipe=[row["recipe"] or "" for row in rows],
    )
    return Points(tuple(row["cell"] for row in rows), found.recipes, found.facts, found.loss)


def _rule(text: str) -> tuple[str, Callable[[dict[str, Any]], bool]]:
    if _HIGHEST.fullmatch(text):
        return text, lambda _: False
    found = _RULE.fullmatch(text)
    if found is None:
        raise RecipeError(
            f"--exclude {text!r:.80}: is no rule; expected e.g. 'loss>5', 'recipe=raw', "
            "'cell=0a1b' or 'highest-loss=5'"
        )
    name, sign, said = found.groups()
    if name not in RUN_COLUMNS.names:
        raise RecipeError(
            f"--exclude {text!r:.80}: {unknown_name('column', name, RUN_COLUMNS.names)}"
        )
    value: Any = said
    if RUN_COLUMNS.field(name).type != pa.string():
        try:
            value = float(said)
        except ValueError:
            raise RecipeError(
                f"--exclude {text!r:.80}: {said!r:.40} is no number, expected one for {name}"
            ) from None
    holds = _OPERATORS[sign]
    return text, lambda row: row[name] is not None and holds(row[name], value)


def _commonest(out: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{why}: {count}" for why, count in Counter(w for _, w in out).most_common(3))
