"""What the modules with commands share: the application, its options, how JSON is printed."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from curation.errors import CurationError


class StoppedError(CurationError):
    """Ctrl-C."""


class UsageError(CurationError):
    """Options that are unknown, missing, or do not go together."""

    exit_code = 2


@contextmanager
def _one_line() -> Iterator[None]:
    """Makes a line like all others of what Typer would print a page or a box for."""
    try:
        yield
    except Exception as error:
        # Typer brings a Click of its own or takes the installed one: the classes are either's.
        usage = hasattr(error, "format_message") and getattr(error, "exit_code", 0) == 2
        if not usage or type(error).__name__ == "NoArgsIsHelpError":
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "curate"
        said = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
        raise UsageError(f"{path}: {said[:1].lower()}{said[1:]}; see {path} --help") from error


class _Commands(typer.core.TyperGroup):
    """The commands; a stopped one says what becomes of its work, not just "Aborted"."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _one_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _one_line():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedError(
                "stopped; what is finished is kept: give the same command again to resume"
            ) from None


app = typer.Typer(
    name="curate",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Raw web and domain text to explained Arrow shards and a fine-tuned model.",
)


Dataset = Annotated[Path, typer.Argument(help="Directory of a finished run.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(value: Any) -> None:
    """Prints a value for machines, on standard output."""
    text = json.dumps(_finite(value), ensure_ascii=False, indent=1, default=str)
    sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")


def _finite(value: Any) -> Any:
    """Replaces NaN and infinity, which JSON does not have, by null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
