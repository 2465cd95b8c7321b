"""What is missing or went wrong in a study, in plain words, for the top of its report."""

from collections.abc import Sequence

from curation.study.costs import Terms
from curation.study.evidence import Health, Noise
from curation.study.scaling import Efficiency


def states_of(
    found: Health,
    noise: Noise | None,
    asked: tuple[str, Terms, Sequence[str]],
    scaled: Sequence[Efficiency],
    failures: Sequence[tuple[str, str]],
) -> list[str]:
    """Returns the states, the gravest first.

    Args:
        found: Counts of cells.
        noise: Between seeds; None: not measured.
        asked: The preset, the prices, the recipes.
        scaled: Device counts against one device.
        failures: Forms of law that could not be fitted; "all": none could.
    """
    preset, terms, recipes = asked
    states = [*_cell_states(found), *_ground_states(found, noise, preset)]
    states += [f"No law could be fitted: {why}." for form, why in failures if form == "all"]
    states += [f"The price of {name} is unknown." for name in terms.unknown()]
    states += [
        f"The price of curation of {name} is unknown."
        for name in recipes
        if terms.curation_price(name) is None
    ]
    return states + _timing_states(scaled)


def _timing_states(scaled: Sequence[Efficiency]) -> list[str]:
    differing = sorted({one.devices for one in scaled if one.loss_same is False})
    if not differing:
        return []
    counts = ", ".join(map(str, differing))
    return [
        f"The loss on {counts} devices is not that on one at the same batch: "
        "something is wrong with the training, and its timings are of other work."
    ]


def _cell_states(found: Health) -> list[str]:
    total = found.done + found.failed + found.skipped
    if not total:
        return ["There are no runs, so there is nothing to say."]
    left = f"{found.failed} failed, {found.skipped} skipped"
    if not found.done:
        return [f"No cell is done: {left}."]
    return [f"{found.done} of {total} cells are done: {left}."] if found.done < total else []


def _ground_states(found: Health, noise: Noise | None, preset: str) -> list[str]:
    states = []
    if preset == "smoke":
        states.append("This was a smoke test: it checks the machinery and decides nothing.")
    if found.done and min(found.sizes, found.amounts) < 2:
        states.append("The grid is too small: a law needs two sizes and two amounts of text.")
    if found.done and noise is None:
        states.append("No cell has two seeds: the noise is unknown, so nothing is decided.")
    if found.few_steps:
        states.append(
            f"The shortest cell has {found.least_steps} steps: below 1,000, steps pass for data."
        )
    return states
