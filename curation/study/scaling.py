"""How well more devices work together: efficiency, and the loss that must not change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from curation.study.evidence import Noise, Run, t95
from curation.study.predict import Estimate, Floats

LEAST_COUNTS = 4
"""Device counts that the Universal Scalability Law needs: it has three constants."""


@dataclass(frozen=True)
class Efficiency:
    """One device count against one device, on the same work."""

    kind: str
    """"strong": the same global batch and tokens; "weak": the same batch of each device."""
    devices: int
    efficiency: Estimate
    """Tokens per second of each device, over those of a single one."""
    timings: tuple[int, int]
    """Runs on one device and on so many."""
    tokens_per_second: float
    loss_gap: float | None
    """Log loss less that on one device; for strong scaling it should be 0."""
    loss_same: bool | None
    """Whether the gap is within the noise between seeds; None: no noise floor, or weak scaling."""

    @property
    def state(self) -> str:
        """Says what cannot be said of it; empty if the figure can stand."""
        found = self.efficiency.interval()
        if found is None:
            return "one timing of each: no interval"
        if found[1] > 1 and found[0] <= 1:
            return "no loss of speed can be told from the noise of the timings"
        return "faster than perfect: the timings are not comparable" if found[0] > 1 else ""


def efficiencies(runs: Sequence[Run], noise: Noise | None) -> list[Efficiency]:
    """Returns the efficiency of each device count that was run beside a single device.

    Args:
        runs: Done runs with devices, batch_tokens and tokens_per_second.
        noise: Between seeds.
    """
    timed = [run for run in runs if run["tokens_per_second"] and run["devices"]]
    found: list[Efficiency] = []
    for kind in ("strong", "weak"):
        groups: dict[tuple[Any, ...], dict[int, list[Run]]] = {}
        for run in timed:
            by_count = groups.setdefault(_work(run, kind), {})
            by_count.setdefault(int(run["devices"]), []).append(run)
        for _, by_count in sorted(groups.items(), key=lambda item: repr(item[0])):
            found += [
                _efficiency(kind, by_count[1], by_count[count], noise)
                for count in sorted(by_count)
                if 1 in by_count and count > 1
            ]
    return found


def _work(run: Run, kind: str) -> tuple[Any, ...]:
    batch = run["batch_tokens"]
    if kind == "weak":
        each = None if batch is None else batch / run["devices"]
        return (run["parameters"], run["precision"], run["device"], each)
    return (run["recipe"], run["parameters"], run["tokens"], run["precision"], run["device"], batch)


def _efficiency(
    kind: str, single: Sequence[Run], many: Sequence[Run], noise: Noise | None
) -> Efficiency:
    devices = int(many[0]["devices"])
    speeds = [[float(run["tokens_per_second"]) for run in group] for group in (single, many)]
    gap, same = None, None
    if kind == "strong":
        alone, shared = _seed_by_seed(single, many)
        gap = float(np.mean(shared) - np.mean(alone))
        if noise is not None:
            each = math.sqrt(1 / len(alone) + 1 / len(shared))
            same = abs(gap) <= t95(noise.degrees) * noise.sd * each
    timings = (len(single), len(many))
    return Efficiency(
        kind, devices, _ratio_of_medians(speeds, devices), timings, median(speeds[1]), gap, same
    )


def _seed_by_seed(*groups: Sequence[Run]) -> list[list[float]]:
    """Returns the log loss of each seed that all groups have; of all their seeds if there is none.

    Seeds differ more than device counts do: other seeds on one side would look like a gap.
    """
    by_seed: list[dict[Any, list[float]]] = [{} for _ in groups]
    for group, losses in zip(groups, by_seed, strict=True):
        for run in group:
            losses.setdefault(run["seed"], []).append(math.log(run["loss"]))
    shared = set.intersection(*(set(losses) for losses in by_seed))
    return [
        [float(np.mean(values)) for seed, values in losses.items() if not shared or seed in shared]
        for losses in by_seed
    ]


def _ratio_of_medians(speeds: Sequence[Sequence[float]], devices: int) -> Estimate:
    mid = median(speeds[1]) / devices / median(speeds[0])
    if min(map(len, speeds)) < 2:
        return Estimate(mid)
    rng = np.random.default_rng(0)
    ones, many = (
        np.median(rng.choice(np.array(group), (1000, len(group))), axis=1) for group in speeds
    )
    return Estimate(mid, many / devices / ones)


@dataclass(frozen=True)
class Scalability:
    """Gunther's Universal Scalability Law: X(1) k / (1 + sigma (k - 1) + kappa k (k - 1))."""

    sigma: float
    """Contention: the share of the work that is not parallel (Amdahl)."""
    kappa: float
    """Coherence: what each pair of devices costs."""

    def efficiency(self, devices: Floats) -> Floats:
        """Returns the efficiency at some device counts."""
        return 1.0 / (1 + self.sigma * (devices - 1) + self.kappa * devices * (devices - 1))


def scalability(found: Sequence[Efficiency], kind: str = "strong") -> Scalability | None:
    """Fits the law to efficiencies; None with fewer than four device counts (one included).

    1 / efficiency - 1 is linear in both constants; they are held at 0 or above.
    """
    points = [(one.devices, one.efficiency.mid) for one in found if one.kind == kind]
    if len({devices for devices, _ in points}) + 1 < LEAST_COUNTS:
        return None
    k = np.array([devices for devices, _ in points], dtype=np.float64)
    excess = 1 / np.array([value for _, value in points]) - 1
    columns = np.stack([k - 1, k * (k - 1)], axis=1)
    both = np.linalg.lstsq(columns, excess, rcond=None)[0]
    if (both >= 0).all():
        return Scalability(float(both[0]), float(both[1]))
    alone = [max(0.0, float(c @ excess / (c @ c))) for c in columns.T]
    errors = [float(((excess - c * a) ** 2).sum()) for c, a in zip(columns.T, alone, strict=True)]
    return Scalability(alone[0], 0.0) if errors[0] <= errors[1] else Scalability(0.0, alone[1])
