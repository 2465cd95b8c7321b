"""From the files of a study to its laws, verdicts and report, written beside runs.parquet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import DataError, RecipeError
from curation.study.conclude import Conclusion, Setting, conclude, measured_terms
from curation.study.corpora import Dataset
from curation.study.costs import Terms, curation_cost, recipe_costs
from curation.study.lawfile import write_law
from curation.study.planning import catalogue_of, device_price
from curation.study.prices import Range
from curation.study.report import write_report
from curation.study.running import few_threads
from curation.study.runs import read_runs
from curation.study.spec import Study
from curation.study.verdict import write_verdict

DRAWS, FEW_DRAWS = 500, 100
"""Of the bootstrap; a study that decides nothing needs few."""


def conclude_study(
    study: Study, out: Path, datasets: Sequence[Dataset], hardware: Mapping[str, Any]
) -> Conclusion:
    """Fits the laws, draws the verdicts; writes laws/, law.json, verdict.json and report.html.

    What an earlier run of the study concluded goes first: nothing stays that is of other runs.

    Args:
        study: What its author wrote.
        out: Its directory, with runs.parquet.
        datasets: Of its recipes.
        hardware: That the probes met.

    Raises:
        RecipeError: The price catalogue is wrong.
    """
    runs = read_runs(out / "runs.parquet")
    for pattern in ("laws/*.json", "law.json", "verdict.json", "report.html", "*.png"):
        for path in out.glob(pattern):
            path.unlink()
    setting = setting_of(study, runs, datasets, hardware)
    # Laws of a few tiny runs have draws beyond all bounds; the flags say so, not the terminal.
    with np.errstate(all="ignore"), few_threads():
        conclusion = conclude(runs, setting, out)
    _write_laws(conclusion, out)
    try:
        write_report(out, conclusion)
    except RecipeError as error:  # no matplotlib here: the verdict needs none
        write_verdict(out / "verdict.json", conclusion.verdicts)
        conclusion.states.append(f"report.html: {error}")
    return conclusion


def setting_of(
    study: Study, runs: pa.Table, datasets: Sequence[Dataset], hardware: Mapping[str, Any]
) -> Setting:
    """Returns the prices and names that a study's conclusions are drawn under."""
    catalogue = catalogue_of(study)
    return Setting(
        terms=_terms(study, runs, datasets, hardware),
        name=study.name,
        question=study.question,
        preset="smoke" if study.illustrative else "",
        baseline=study.reference,
        catalogue=f"{catalogue.name} of {catalogue.date}",
        draws=FEW_DRAWS if study.illustrative else DRAWS,
    )


def _terms(
    study: Study, runs: pa.Table, datasets: Sequence[Dataset], hardware: Mapping[str, Any]
) -> Terms:
    prices, cpu = study.prices, catalogue_of(study).device("cpu").range()
    costs = {dataset.name: curation_cost(dataset.manifest, cpu) for dataset in datasets}
    per_token = _bytes_per_token(runs)
    text = prices.text_per_gigabyte
    return measured_terms(
        runs,
        device_price(study, hardware),
        prices.device or str(hardware["name"]),
        text=None if text is None else Range.exact(text * per_token / 1e9),
        kept={name: cost.share_kept for name, cost in costs.items() if cost.share_kept},
        curation=recipe_costs(costs, per_token),
        reuse=float(prices.reuse),
        served_tokens=prices.served_tokens or 0.0,
        deadline_hours=prices.deadline_hours,
    )


def _bytes_per_token(runs: pa.Table) -> float:
    """Returns UTF-8 bytes of a token over all runs; 1 where none says."""
    rows = [row for row in runs.to_pylist() if row["text_bytes"] and row["tokens"]]
    tokens = sum(row["tokens"] for row in rows)
    return sum(row["text_bytes"] for row in rows) / tokens if tokens else 1.0


def _write_laws(conclusion: Conclusion, out: Path) -> None:
    """Writes every law that is all numbers; one with an endless draw is no file, and is said."""
    if conclusion.laws is None:
        return
    (out / "laws").mkdir(exist_ok=True)
    laws = conclusion.laws
    for path, law in (
        *((out / "laws" / f"{name}.json", law) for name, law in laws.laws.items()),
        (out / "law.json", laws.law),
    ):
        try:
            with np.errstate(all="ignore"):
                write_law(path, law)
        except DataError as error:
            conclusion.failures.append((law.form, str(error)))
