"""Settings files for people: TOML that is checked, with one line for what is wrong in it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from curation.errors import RecipeError, unknown_name

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Reads a TOML file.

    Args:
        path: The file.
        what: What it is to people ("recipe", "job"); starts every message.

    Raises:
        RecipeError: The file is missing, unreadable or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{what} {path}: no such file; expected a TOML {what}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{what} {path}: cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{what} {path}: is not valid TOML: {error}") from error


def check_names(table: Mapping[str, Any], model: type[BaseModel], where: str, noun: str) -> None:
    """Refuses a key that the model does not have, and names the nearest that it has.

    Args:
        table: What the file holds.
        model: What it should fit.
        where: Starts the message ("recipe web.toml: stage 2 (split)").
        noun: What a key is there ("setting", "setting of [output]").

    Raises:
        RecipeError: A key is unknown.
    """
    for name in table:
        if name not in model.model_fields:
            raise RecipeError(f"{where}: {unknown_name(noun, name, model.model_fields)}")


def build(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """Makes a model of values; the first thing that does not fit becomes a line.

    Raises:
        RecipeError: Something does not fit: where, what was found, what was expected.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first(error)}") from error


def check_value(model: type[BaseModel], name: str, value: Any, where: str) -> Any:
    """Returns the value of one setting as its field has it; validators of the model are not asked.

    Raises:
        RecipeError: It does not fit the field.
    """
    field = model.model_fields[name]
    checked: TypeAdapter[Any] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
    try:
        return checked.validate_python(value)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_first(error, name)}") from error


def _first(error: ValidationError, name: str = "") -> str:
    """Says in one line the first thing that does not fit: where, what was found, what is more."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in (*([name] if name else []), *first["loc"]))
    plain = isinstance(first["input"], str | int | float | bool)
    found = f" (found {first['input']!r:.80})" if plain else ""
    more = f"; and {error.error_count() - 1} more" if error.error_count() > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    return f"{place or 'settings'}: {message}{found}{more}"
