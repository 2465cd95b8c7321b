"""What serving a model costs: compute and memory bounds, dollars a day, and when shrinking pays.

Each generated token takes 2 FLOPs per active parameter and reads every weight that its batch uses
from memory once: the slower of the two bounds the speed.
"""

import math
from dataclasses import dataclass

from curation.errors import RecipeError
from curation.study.prices import Item, Range

DAY = 86400.0


@dataclass(frozen=True)
class Served:
    """A model as it is served.

    Raises:
        RecipeError: A number is not above 0, or more parameters are active than there are.
    """

    active: float
    """Parameters that a token passes through; of a dense model, all."""
    parameters: float | None = None
    """All that lie in memory; None: the active ones."""
    bytes_per_weight: float = 2.0
    """2 for bf16, 1 for int8, 0.5 for 4 bits."""
    batch: float = 1.0
    """Sequences that generate a token from one reading of the weights."""

    def __post_init__(self) -> None:
        for name in ("active", "bytes_per_weight", "batch"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecipeError(f"{name}: found {getattr(self, name)}; expected a number above 0")
        if self.parameters is not None and self.parameters < self.active:
            raise RecipeError(
                f"parameters: found {self.parameters:g}, fewer than the {self.active:g} active ones"
            )

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        return (self.parameters or self.active) * self.bytes_per_weight

    @property
    def read_bytes(self) -> float:
        """Bytes read for one step of a batch: at most all, at most the active ones of each."""
        return min(self.weight_bytes, self.active * self.bytes_per_weight * self.batch)


@dataclass(frozen=True)
class Speed:
    """Device-seconds for one generated token."""

    compute: Range
    memory: float | None
    """None: the device's bandwidth is not known, so this bound is left out (and said)."""

    @property
    def seconds(self) -> Range:
        """The larger of both bounds."""
        least = self.memory or 0.0
        return Range(
            max(self.compute.low, least),
            max(self.compute.mid, least),
            max(self.compute.high, least),
        )

    @property
    def bound(self) -> str:
        """Says which bound holds."""
        if self.memory is None:
            return "compute (bandwidth unknown)"
        return "memory" if self.memory > self.compute.mid else "compute"


def token_speed(served: Served, device: Item, utilisation: Range) -> Speed:
    """Returns device-seconds per generated token, by compute and by memory.

    Args:
        served: The model.
        device: Its peak, and its bandwidth where known.
        utilisation: Share of the peak that serving reaches.

    Raises:
        RecipeError: The device's peak is not known.
    """
    if device.peak_flops is None:
        raise RecipeError(
            f"{device.name}: its peak FLOP/s is not in the catalogue; give peak_flops in a file of "
            "your own (--prices)"
        )
    compute = Range.exact(2.0 * served.active / device.peak_flops) / utilisation
    if device.bandwidth is None:
        return Speed(compute, None)
    return Speed(compute, served.read_bytes / device.bandwidth / served.batch)


@dataclass(frozen=True)
class DailyCost:
    """What a served model costs in a day."""

    tokens_per_day: float
    speed: Speed
    busy_hours: Range
    """Device-hours a day that are worked."""
    devices: int
    """Whole devices held day and night for it: for the speed at mid, and to hold the weights."""
    busy_dollars: Range | None
    """Paying for worked hours only; None: the price is unknown."""
    held_dollars: Range | None
    """Paying for whole devices."""

    @property
    def dollars_per_million(self) -> Range | None:
        """US$ per million tokens, worked hours only."""
        if self.busy_dollars is None or self.tokens_per_day == 0:
            return None
        return self.busy_dollars * (1e6 / self.tokens_per_day)


def daily_cost(
    served: Served,
    tokens_per_day: float,
    device: Item,
    utilisation: Range,
    hour: Range | None,
) -> DailyCost:
    """Answers "what does a day of serving cost?".

    Args:
        served: The model.
        tokens_per_day: Generated in a day: queries times tokens of an answer.
        device: That it runs on.
        utilisation: Share of the peak that serving reaches.
        hour: US$ per device-hour; None: unknown.
    """
    speed = token_speed(served, device, utilisation)
    busy = speed.seconds * (tokens_per_day / 3600.0)
    fit = math.ceil(served.weight_bytes / device.memory_bytes) if device.memory_bytes else 1
    devices = max(1, fit, math.ceil(busy.mid / 24.0))
    return DailyCost(
        tokens_per_day,
        speed,
        busy,
        devices,
        None if hour is None else busy * hour,
        None if hour is None else hour * (24.0 * devices),
    )


def queries_per_day(dollars_per_day: float, dollars_per_query: float) -> float:
    """Returns how many queries a daily bill pays for."""
    return dollars_per_day / dollars_per_query


def break_even_days(once: Range, daily: Range, factor: float) -> Range | None:
    """Returns after how many days a distilled or quantised model has paid for its making.

    Args:
        once: US$ of making it: training the student, the teacher's tokens, tests.
        daily: US$ a day of the model as it is.
        factor: Cost of a token of the smaller model over that of the larger.

    Returns:
        Days; None if it never pays (`factor` is 1 or more, or serving costs nothing).

    Raises:
        RecipeError: `factor` is not above 0.
    """
    if not 0 < factor < math.inf:
        raise RecipeError(f"factor: found {factor}; expected a number above 0, below 1 to save")
    if factor >= 1 or daily.low <= 0:
        return None
    return once / (daily * (1.0 - factor))


def lifetime_flops(parameters: float, tokens: float, served_tokens: float) -> float:
    """Returns the FLOPs of a model's life: 6 N per training token, 2 N per served token."""
    return 6.0 * parameters * tokens + 2.0 * parameters * served_tokens
