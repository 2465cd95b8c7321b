"""A short training for each size before anything is spent: what a cell will take on this machine.

The text is made up, so that a plan needs no curated dataset: the speed of a training does not
depend on what the words say.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import RecipeError
from curation.handoff import prepare_job
from curation.local import run_plan
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.results import RunResult, run_job
from curation.shards import replacing
from curation.study.cells import hardware_of
from curation.study.grid import Cell, job_of
from curation.study.spec import SizeSpec, Study

STEPS = 60
"""Of a probe: the first steps are slow, so a prediction errs on the careful side."""
SLOW_STEP = 10.0
"""Seconds of a step above which a probe is given up: a study of such steps is not for here."""
_WARM_UP = 30.0
"""Seconds that a first step may take on any machine."""
_DOCUMENTS, _WORDS, _LETTERS = 400, 400, "etaoinshrdlucmfwypvbgkjqxz"


class Speed(NamedTuple):
    """What a probe of one size found."""

    parameters: int
    """In matrix products, output head included."""
    flops_per_token: float
    tokens_per_second: float
    seconds_apart: float
    """Wall seconds of a cell beside its training: start-up, packing, scoring, saving."""


class Probes(NamedTuple):
    """All sizes, and the machine that they ran on."""

    speeds: dict[str, Speed]
    hardware: dict[str, Any]


def probe_sizes(study: Study, out: Path, tell: Callable[[str], None]) -> Probes:
    """Measures every size of a study, or finds it measured.

    Args:
        study: The study.
        out: Its directory; probes lie in `out/probes`.
        tell: Is told what is being done.

    Raises:
        RecipeError: There is no trainer, or the study asks for what no job can be.
    """
    dataset = _made_up_text(out / "probes")
    results = {}
    for size in study.grid.sizes:
        tell(f"probing {size.name}")
        results[size.name] = _probe(study, size, dataset, out / "probes" / size.name)
    speeds = {name: _speed(result) for name, result in results.items()}
    return Probes(speeds, hardware_of(next(iter(results.values()))))


def _probe(study: Study, size: SizeSpec, dataset: Path, out: Path) -> RunResult:
    tokens = STEPS * study.training.batch_tokens
    cell = Cell("grid", "probe", size, tokens, None, 17, 17)
    job = job_of(cell, study, tokenizer=None, held_out=None)
    watch = Watch(size.name, study.training.batch_tokens)
    result = run_job(prepare_job(job, dataset, out), on_progress=watch)
    if result.tokens.steps < STEPS:
        raise RecipeError(f"probe of {size.name}: made {result.tokens.steps} of {STEPS} steps")
    return result


class Watch:
    """Follows a probe's progress, and gives it up where its steps are far too slow."""

    def __init__(self, size: str, tokens: int, now: Callable[[], float] = time.monotonic) -> None:
        """Takes the name of the size, the tokens of a step, and a clock in seconds."""
        self._size, self._tokens, self._now = size, tokens, now
        self._begun: float | None = None

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes a line of progress.

        Raises:
            RecipeError: A step takes so long that the probe alone would take tens of minutes.
        """
        if event.get("event") == "phase" and event.get("name") == "train":
            self._begun = self._now()
        if event.get("event") != "step" or self._begun is None:
            return
        elapsed, steps = self._now() - self._begun, max(int(event["step"]), 1)
        if elapsed / steps > SLOW_STEP and elapsed > _WARM_UP:
            raise RecipeError(
                f"probe of {self._size}: a step of {self._tokens:,} tokens takes "
                f"{elapsed / steps:.0f} s on this machine; expected at most {SLOW_STEP:.0f}: run "
                "the study where there is a GPU, or choose smaller sizes or batch_tokens"
            )


def _speed(result: RunResult) -> Speed:
    return Speed(
        result.model.matmul_parameters,
        result.flops / result.tokens.trained,
        result.tokens_per_second,
        max(result.seconds.total - result.seconds.train, 0.0),
    )


def _made_up_text(directory: Path) -> Path:
    """Makes a dataset of random words, the same everywhere."""
    directory.mkdir(parents=True, exist_ok=True)
    draw = random.Random(17)  # noqa: S311 - no secret
    with replacing(directory / "words.jsonl") as file:
        for number in range(_DOCUMENTS):
            text = " ".join(_word(draw) for _ in range(_WORDS))
            file.write(json.dumps({"id": str(number), "text": text}).encode() + b"\n")
    recipe = parse_recipe(
        {
            "name": "probe",
            "sources": [{"name": "words", "kind": "jsonl", "paths": ["words.jsonl"]}],
            "stages": [{"kind": "split", "eval_share": 0.2}],
            "output": {"shards": 1},
        }
    )
    out = directory / "text"
    run_plan(make_plan(LoadedRecipe(recipe, directory)), RunOptions(out=out))
    return out


def _word(draw: random.Random) -> str:
    return "".join(draw.choices(_LETTERS, k=draw.randint(2, 9)))
