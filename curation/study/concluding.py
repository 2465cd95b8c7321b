"""From runs.parquet to laws: what is fitted once the cells have run."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curation.errors import DataError
from curation.study.fit import FitSettings
from curation.study.fitting import Laws, fit_laws
from curation.study.lawfile import write_law
from curation.study.points import points_of
from curation.study.runs import read_runs


class Fitted(NamedTuple):
    """What came of fitting: laws, or why there are none."""

    runs: pa.Table
    laws: Laws | None
    why_not: str | None
    unwritten: dict[str, str]
    """Forms whose law is no file, and why."""


def fit_study(out: Path, settings: FitSettings | None = None) -> Fitted:
    """Fits all laws that apply to the runs of a study, and writes laws/FORM.json and law.json.

    Timing cells are left out: they differ by their seconds alone. Old law files go first, so none
    that is there belongs to other runs.

    Args:
        out: Directory of the study.
        settings: How to fit.
    """
    runs = read_runs(out / "runs.parquet")
    for path in [*(out / "laws").glob("*.json"), out / "law.json"]:
        path.unlink(missing_ok=True)
    try:
        points, excluded = points_of(runs, ["devices>1"])
        laws = fit_laws(points, settings or FitSettings(), excluded=excluded)
    except DataError as error:
        return Fitted(runs, None, str(error), {})
    (out / "laws").mkdir(exist_ok=True)
    unwritten = {}
    places = {name: out / "laws" / f"{name}.json" for name in laws.laws}
    for name, law in laws.laws.items():
        for path in (places[name], *([out / "law.json"] if name == laws.chosen else [])):
            try:
                write_law(path, law)
            except DataError as error:
                unwritten[name] = str(error)
    return Fitted(runs, laws, None, unwritten)
