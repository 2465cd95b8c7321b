"""What text, curation and training cost: sums in which an unknown price stays visible."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from curation.errors import RecipeError
from curation.manifest import Manifest
from curation.study.prices import Item, Range
from curation.study.words import number

HOUR = 3600.0
ZERO = Range.exact(0.0)


@dataclass(frozen=True)
class Dollars:
    """A sum in US$: what is known of it, and the names of its parts that have no price."""

    known: Range = ZERO
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, units: float | Range, price: Range | None) -> "Dollars":
        """Returns units times price; without a price the part is unknown, unless it is empty."""
        amount = units if isinstance(units, Range) else Range.exact(units)
        if price is None:
            return cls() if amount.high == 0 else cls(unknown=(name,))
        return cls(price * amount)

    def __add__(self, other: "Dollars") -> "Dollars":
        names = dict.fromkeys((*self.unknown, *other.unknown))
        return Dollars(self.known + other.known, tuple(names))

    @property
    def complete(self) -> bool:
        """Whether every part has a price."""
        return not self.unknown

    def range(self) -> Range | None:
        """Returns the sum; None if a part of it is unknown."""
        return self.known if self.complete else None

    def text(self) -> str:
        """Says it in a few words.

        Examples:
            >>> (Dollars.of("GPU", 2, Range(1, 3, 5)) + Dollars.of("text", 9, None)).text()
            'at least $6.00 (2.00 to 10.00), and unknown: text'
        """
        said = money(self.known)
        if self.complete:
            return said
        names = ", ".join(self.unknown)
        return (
            f"unknown: {names}" if self.known == ZERO else f"at least {said}, and unknown: {names}"
        )


def total(parts: Iterable[Dollars]) -> Dollars:
    """Adds up; no part is dropped, priced or not."""
    found = Dollars()
    for part in parts:
        found = found + part
    return found


def money(amount: Range | None) -> str:
    """Returns an amount for people: "$3.99 (1.99 to 5.00)"."""
    if amount is None:
        return "unknown"
    spread = "" if amount.low == amount.high else f" ({cents(amount.low)} to {cents(amount.high)})"
    return f"${cents(amount.mid)}{spread}"


def cents(value: float) -> str:
    """Returns dollars without a sign: two decimals, or three digits where it is less than 1.

    Examples:
        >>> cents(1234.5), cents(0.00371), cents(0.5), cents(2e7)
        ('1,234.50', '0.00371', '0.50', '20,000,000')
    """
    if value >= 10_000 or value == 0:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if value >= 0.1 else number(value)


def training_flops(
    parameters: float, tokens: float, *, layers: int = 0, width: int = 0, sequence: int = 0
) -> float:
    """Returns the FLOPs of full training.

    6 N per token, and 12 x layers x width x sequence for attention (no causal skipping), as
    Hoffmann et al. 2022 (arXiv 2203.15556, appendix F) count forward and backward passes.

    Args:
        parameters: N, in matrix products, output head included.
        tokens: Presented.
        layers: Of the transformer; 0 leaves attention out.
        width: Of the transformer.
        sequence: Tokens of a sequence.
    """
    return (6.0 * parameters + 12.0 * layers * width * sequence) * tokens


def tuning_flops(
    parameters: float, tokens: float, trainable: float, *, backward_share: float = 1.0
) -> float:
    """Returns the FLOPs of training a part of the parameters (frozen layers, LoRA).

    2 N forward, 2 N for the gradient of activations down to the lowest part that learns, and
    2 x trainable for the gradients of weights: about two thirds of full training for LoRA.

    Args:
        parameters: N, in matrix products.
        tokens: Presented.
        trainable: Parameters that learn; N gives full training.
        backward_share: Share of N at or above the lowest part that learns.

    Raises:
        RecipeError: More parameters would learn than there are.
    """
    if not 0 <= trainable <= parameters:
        raise RecipeError(
            f"trainable: found {trainable:g}; expected 0 to {parameters:g}, all that there are"
        )
    return (2.0 * parameters * (1 + backward_share) + 2.0 * trainable) * tokens


def device_hours(flops: float, device: Item, utilisation: Range) -> Range:
    """Returns the hours of one device for some FLOPs.

    Args:
        flops: To be done.
        device: With the peak that utilisation is a share of.
        utilisation: Share of the peak that is reached (MFU).

    Raises:
        RecipeError: The device's peak is not known.
    """
    if device.peak_flops is None:
        raise RecipeError(
            f"{device.name}: its peak FLOP/s is not in the catalogue; give peak_flops in a file of "
            "your own (--prices)"
        )
    return Range.exact(flops / device.peak_flops / HOUR) / utilisation


@dataclass(frozen=True)
class StageCost:
    """What a stage of a recipe took."""

    name: str
    cpu_seconds: float
    wall_seconds: float
    gigabytes: float
    """10^9 bytes of text that it was given."""
    dollars: Dollars

    @property
    def seconds_per_gigabyte(self) -> float | None:
        """CPU seconds per 10^9 bytes of text; None if it saw none."""
        return self.cpu_seconds / self.gigabytes if self.gigabytes else None


@dataclass(frozen=True)
class CurationCost:
    """What the making of a dataset took, as its manifest counts it."""

    stages: list[StageCost]
    cpu_seconds: float
    """Of the whole run, reading and writing included: at least the sum of the stages."""
    dollars: Dollars
    """Of one making, by a price for a CPU hour."""
    gigabytes_kept: float
    share_kept: float | None
    """Text bytes kept over text bytes that met the first stage; None if nothing did."""

    def per_gigabyte(self, reuse: float = 1.0) -> Dollars:
        """Returns the cost of 10^9 bytes of kept text in each of `reuse` trainings.

        Raises:
            RecipeError: `reuse` is below 1.
        """
        check_reuse(reuse)
        if not self.gigabytes_kept:
            return Dollars(unknown=("curation: no text was kept",))
        scale = 1.0 / (self.gigabytes_kept * reuse)
        return Dollars(self.dollars.known * scale, self.dollars.unknown)


def check_reuse(reuse: float) -> None:
    """Refuses a number of trainings below one.

    Raises:
        RecipeError: It is below one.
    """
    if not reuse >= 1:
        raise RecipeError(
            f"reuse: found {reuse:g}; expected 1 or more, the trainings that share the curation"
        )


def curation_cost(manifest: Manifest, hour: Range | None) -> CurationCost:
    """Prices the CPU seconds that a manifest holds.

    Args:
        manifest: Of a dataset.
        hour: US$ per hour of one virtual CPU; None: unknown.
    """
    stages = [
        StageCost(
            stage.name,
            stage.cpu_seconds,
            stage.wall_seconds,
            stage.text_bytes_in / 1e9,
            Dollars.of("CPU hours", stage.cpu_seconds / HOUR, hour),
        )
        for stage in manifest.stages
    ]
    seconds = max(manifest.cpu_seconds, sum(stage.cpu_seconds for stage in stages))
    met = max((stage.text_bytes_in for stage in manifest.stages), default=0)
    kept = manifest.totals.text_bytes_kept
    return CurationCost(
        stages,
        seconds,
        Dollars.of("CPU hours", seconds / HOUR, hour),
        kept / 1e9,
        kept / met if met else None,
    )


@dataclass(frozen=True)
class Purchase:
    """Something that is bought once: licences, crawling, labels."""

    name: str
    units: float
    unit: str
    price: Range | None
    """US$ per unit; None until the user says it."""

    def dollars(self) -> Dollars:
        """Returns units times price; unknown without a price."""
        return Dollars.of(self.name, self.units, self.price)


@dataclass(frozen=True)
class Terms:
    """The prices and limits that a question of dollars is asked under.

    Tokens are tokens of the law's own runs. A recipe that keeps half of its text needs twice the
    text for a token: its price of text is twice as high.
    """

    hour: Range | None
    """US$ per hour of one device."""
    flops_per_second: Range
    """That one device sustains in training."""
    device: str = "device"
    text: Range | None = None
    """US$ per unique token before curation; None: unknown."""
    kept: Mapping[str, float] = field(default_factory=dict)
    """Share of the tokens that each recipe keeps; one that is not there keeps all."""
    curation: Mapping[str, Range | None] = field(default_factory=dict)
    """US$ per unique token kept, of each recipe; a recipe that is not there is unknown."""
    reuse: float = 1.0
    """Trainings that share one curation."""
    served_tokens: float = 0.0
    """Served in the model's life; each costs 2 N FLOPs."""
    serving_flops_per_second: Range | None = None
    """That one device sustains in serving; None: as in training."""
    deadline_hours: float | None = None
    devices: int = 1
    scaling: Range = field(default_factory=lambda: Range(0.983, 0.994, 1.0))
    """Efficiency that is left when the number of devices doubles."""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_reuse(self.reuse)

    def text_price(self, recipe: str | None) -> Range | None:
        """Returns US$ of text for one unique token that is kept."""
        return None if self.text is None else self.text / self.kept.get(recipe or "", 1.0)

    def curation_price(self, recipe: str | None) -> Range | None:
        """Returns US$ per unique token in one training; 0 where no recipe is meant."""
        if recipe is None:
            return ZERO
        price = self.curation.get(recipe)
        return None if price is None else price / self.reuse

    def unknown(self, recipe: str | None = None) -> tuple[str, ...]:
        """Names the prices that are not known."""
        prices = {
            f"hour of {self.device}": self.hour,
            "text": self.text,
            "curation": self.curation_price(recipe),
        }
        return tuple(name for name, price in prices.items() if price is None)

    def flop_price(self) -> Range | None:
        """Returns US$ per FLOP of training; None while the hour has no price."""
        return None if self.hour is None else self.hour / (self.flops_per_second * HOUR)


def recipe_costs(
    costs: Mapping[str, CurationCost], bytes_per_token: float
) -> dict[str, Range | None]:
    """Returns US$ per kept token of each recipe, for `Terms.curation`."""
    prices = {name: cost.per_gigabyte().range() for name, cost in costs.items()}
    return {
        name: None if price is None else price * (bytes_per_token / 1e9)
        for name, price in prices.items()
    }
