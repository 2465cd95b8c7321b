"""law.json: a law with its draws and the record of its fit, written whole and read strictly."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from curation.errors import CurationError, DataError
from curation.shards import replacing
from curation.study.bootstrap import LEVEL, interval
from curation.study.forms import Array, Form
from curation.study.law import FittedLaw, form_named

FORMAT = "curation law 1"
_FIELDS: Mapping[str, type] = {
    "format": str,
    "form": str,
    "formula": str,
    "source": str,
    "recipes": list,
    "parameters": dict,
    "intervals": dict,
    "log_covariance": dict,
    "flags": list,
    "record": dict,
    "draws": dict,
}


def write_law(path: Path, law: FittedLaw) -> None:
    """Writes a law as JSON; equal laws give equal files.

    Raises:
        DataError: A number of it is not finite.
    """
    try:
        text = json.dumps(law_json(law), ensure_ascii=False, indent=1, allow_nan=False)
    except ValueError as error:
        raise DataError(f"law {law.form}: a number of it is not finite; fit it again") from error
    with replacing(path) as file:
        file.write(text.encode() + b"\n")


def law_json(law: FittedLaw) -> dict[str, Any]:
    """Returns what `law.json` holds."""
    form = form_named(law.form)
    spans = {name: interval(law.parameters[name], values) for name, values in law.draws.items()}
    return {
        "format": FORMAT,
        "form": law.form,
        "formula": form.formula,
        "source": form.source,
        "recipes": list(law.recipes),
        "parameters": law.parameters,
        "intervals": {
            name: {"level": LEVEL, "low": one.low, "high": one.high} for name, one in spans.items()
        },
        "log_covariance": log_covariance(law),
        "flags": list(law.flags),
        "record": law.record,
        "draws": {name: values.tolist() for name, values in law.draws.items()},
    }


def log_covariance(law: FittedLaw) -> dict[str, Any]:
    """Returns the covariance of the logarithms of the constants over the draws.

    Only of constants that are above 0 in all draws.
    """
    names = [name for name, values in law.draws.items() if len(values) > 1 and (values > 0).all()]
    if not names:
        return {"names": [], "matrix": []}
    matrix = np.cov(np.log(np.stack([law.draws[name] for name in names])))
    return {"names": names, "matrix": np.atleast_2d(matrix).tolist()}


def read_law(path: Path) -> FittedLaw:
    """Reads a law.json.

    Raises:
        DataError: The file is missing, damaged, or lacks something; one line says what.
    """
    try:
        value = json.loads(path.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise DataError(f"law {path}: cannot be read ({error.strerror}); fit it again") from error
    except ValueError as error:
        raise DataError(
            f"law {path}: is no JSON ({' '.join(str(error).split()):.100}); expected a law.json "
            "of curate fit; fit it again"
        ) from error
    try:
        return _law(value)
    except DataError as error:
        raise DataError(f"law {path}: {error}; fit it again") from error
    except CurationError as error:
        raise DataError(f"law {path}: {error}") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _law(value: Any) -> FittedLaw:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise DataError(f"its format is {str(found)!r:.40}, expected '{FORMAT}'")
    for name, kind in _FIELDS.items():
        if not isinstance(value.get(name), kind):
            raise DataError(f"its field '{name}' is missing or no {kind.__name__}")
    recipes = tuple(value["recipes"])
    if not recipes or not all(isinstance(name, str) for name in recipes):
        raise DataError("its field 'recipes' is no list of names")
    parameters = {name: _number(name, one) for name, one in value["parameters"].items()}
    draws = {name: _draws(name, one) for name, one in value["draws"].items()}
    _check_complete(form_named(value["form"]), recipes, parameters, draws)
    flags = tuple(str(flag) for flag in value["flags"])
    return FittedLaw(value["form"], parameters, draws, flags, value["record"], recipes)


def _check_complete(
    form: Form, recipes: tuple[str, ...], parameters: dict[str, float], draws: dict[str, Array]
) -> None:
    for name in form.names(recipes):
        if name not in parameters:
            raise DataError(f"its form {form.name} needs the constant '{name}'")
        if draws and name not in draws:
            raise DataError(f"its draws lack the constant '{name}'")
        sound = [parameters[name], *draws.get(name, ())]
        if form.positive and min(sound) <= 0:
            raise DataError(f"its constant '{name}' is {min(sound):.6g}, expected above 0")
    if len({len(one) for one in draws.values()}) > 1:
        raise DataError("its draws are not equally many for all constants")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"its constant '{name}' is {str(value)!r:.40}, not a finite number")
    return float(value)


def _draws(name: str, values: Any) -> Array:
    if not isinstance(values, list) or not values:
        raise DataError(f"its draws of '{name}' are no list of numbers")
    return np.array([_number(name, one) for one in values])
