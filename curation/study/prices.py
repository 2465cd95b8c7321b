"""Dated prices with low, mid and high: shipped as a file, replaced or completed by the user.

A price that nobody read is unknown, and stays so through every sum: it is never counted as free.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation.errors import RecipeError, unknown_name
from curation.toml import build, check_names, read_toml

Floats = NDArray[np.float64]
SHIPPED = "2026-11"


@dataclass(frozen=True)
class Range:
    """A positive quantity that is known up to a range; `low <= mid <= high`, all finite, >= 0."""

    low: float
    mid: float
    high: float

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.mid <= self.high < math.inf):
            raise ValueError(
                f"range {self.low}, {self.mid}, {self.high}: expected 0 <= low <= mid <= high"
            )

    @classmethod
    def exact(cls, value: float) -> Self:
        """Returns the range of a value that is known."""
        return cls(value, value, value)

    @classmethod
    def around(cls, low: float, mid: float, high: float) -> Self:
        """Returns a range of computed ends, which rounding may have put past the middle."""
        return cls(min(low, mid), mid, max(mid, high))

    def __add__(self, other: "Range") -> "Range":
        return Range.around(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, factor: "float | Range") -> "Range":
        by = factor if isinstance(factor, Range) else Range.exact(factor)
        return Range.around(self.low * by.low, self.mid * by.mid, self.high * by.high)

    def __truediv__(self, divisor: "float | Range") -> "Range":
        by = divisor if isinstance(divisor, Range) else Range.exact(divisor)
        return Range.around(self.low / by.high, self.mid / by.mid, self.high / by.low)

    def at(self, shares: Floats) -> Floats:
        """Returns values of the range: 0 gives low, 0.5 mid, 1 high, on logarithmic scales."""
        if self.low <= 0:
            return np.interp(shares, [0, 0.5, 1], [self.low, self.mid, self.high])
        logs = np.log([self.low, self.mid, self.high])
        return np.exp(np.interp(shares, [0, 0.5, 1], logs))


class Item(BaseModel):
    """Something with a price in US$ or a share, as it was read; without `mid` it is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    date: str = Field(default="", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    """When it was read; default: the date of the catalogue."""
    low: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    mid: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    high: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    aliases: list[str] = Field(default_factory=list)
    peak_flops: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Dense bf16 FLOP/s."""
    bandwidth: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Of its memory, bytes/s."""
    memory_bytes: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.mid is None and (self.low is not None or self.high is not None):
            raise ValueError("low or high without mid; give mid as well, or none of them")
        known = [value for value in (self.low, self.mid, self.high) if value is not None]
        if known != sorted(known):
            raise ValueError(f"expected low <= mid <= high, found {known}")
        return self

    @property
    def spread_known(self) -> bool:
        """Whether more than one price was read."""
        return self.low is not None and self.high is not None

    def range(self) -> Range | None:
        """Returns low, mid and high; None where no price was read."""
        if self.mid is None:
            return None
        low = self.mid if self.low is None else self.low
        return Range(low, self.mid, self.mid if self.high is None else self.high)


class Catalogue(BaseModel):
    """Prices of devices (US$ per hour of one), of storage, and rates that formulas need."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    currency: str = Field(default="USD", pattern=r"^USD$")
    devices: dict[str, Item] = Field(default_factory=dict)
    storage: dict[str, Item] = Field(default_factory=dict)
    rates: dict[str, Item] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shares(self) -> Self:
        for name, rate in self.rates.items():
            found = rate.range()
            if found is not None and not 0 < found.low <= found.high <= 1:
                raise ValueError(f"rates.{name}: expected shares above 0, at most 1")
        return self

    def device(self, name: str) -> Item:
        """Returns a device by its key or alias; signs and case do not count.

        Raises:
            RecipeError: There is none of that name: the known ones and the nearest.
        """
        wanted = _plain(name)
        for key, item in self.devices.items():
            if wanted in map(_plain, (key, *item.aliases)):
                return item
        raise RecipeError(unknown_name("GPU", name, self.devices))

    def device_of(self, name: str) -> Item | None:
        """Returns the device that a driver's long name means ("NVIDIA H100 80GB HBM3"), or None."""
        words = _plain(name)
        found = [key for key in self.devices if "-" not in key and _plain(key) in words]
        return self.devices[max(found, key=len)] if found else None

    def rate(self, name: str) -> Range:
        """Returns a rate, e.g. "training".

        Raises:
            RecipeError: The catalogue does not have it.
        """
        item = self.rates.get(name)
        found = item.range() if item is not None else None
        if found is None:
            raise RecipeError(f"prices {self.name}: rates.{name} is not there; give its mid")
        return found


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Returns the shipped catalogue, with what a file of the user's replaces or adds.

    Args:
        path: A TOML file of the same form; it may hold a part only.

    Raises:
        RecipeError: The file is missing, is no TOML, or an entry is wrong.
    """
    shipped = _dated(read_toml(_shipped_path(), "price catalogue"))
    if path is None:
        return build(Catalogue, shipped, f"price catalogue {SHIPPED}")
    where = f"price catalogue {path}"
    own = read_toml(path, "price catalogue")
    check_names(own, Catalogue, where, "setting")
    own = build(Catalogue, _dated({"name": path.stem, **own}), where).model_dump(exclude_unset=True)
    for table in ("devices", "storage", "rates"):
        own[table] = {**shipped[table], **own.get(table, {})}
    return build(Catalogue, own, where)


def _dated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the items of a catalogue its date, so that they keep it when catalogues are joined."""
    dated = dict(values)
    for table in ("devices", "storage", "rates"):
        items = values.get(table, {})
        if isinstance(items, Mapping):
            dated[table] = {
                key: {"date": values.get("date", ""), **item} if isinstance(item, Mapping) else item
                for key, item in items.items()
            }
    return dated


def _shipped_path() -> Path:
    """Returns the shipped file: inside the installed package, or in the checkout."""
    here = Path(__file__).resolve()
    inside = here.parent / "prices_shipped" / f"{SHIPPED}.toml"
    return inside if inside.exists() else here.parents[2] / "data" / "prices" / f"{SHIPPED}.toml"


def parse_range(text: str, what: str) -> Range:
    """Reads "0.4" or "0.2:0.4:0.8" (low, mid, high).

    Args:
        text: As the user wrote it.
        what: Starts the message ("--text-price").

    Raises:
        RecipeError: It is neither.
    """
    try:
        parts = [float(part) for part in text.split(":")]
        if len(parts) in (1, 3):
            return Range(parts[0], parts[len(parts) // 2], parts[-1])
    except ValueError:
        pass
    raise RecipeError(
        f"{what}: found {text!r:.60}; expected a number (0.4), or low:mid:high (0.2:0.4:0.8)"
    )
