"""The reference of stages, made from the stages themselves: a table, and a page with every setting.

`python -m curation.reference README.md docs/stages.md` rewrites the part of those files between
the markers; without arguments it prints both.
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.shards import replacing
from curation.stage import GlobalStage, Rule, Stage
from curation.stages import KINDS


def stage_table() -> str:
    """Returns the Markdown table of all stage kinds, in the order in which rows meet them."""
    lines = [
        "| kind | what it does | rejects when | source |",
        "| --- | --- | --- | --- |",
    ]
    for kind, stage in _examples():
        link = f"[`{kind}`](docs/stages.md#{kind})"
        reasons = ", ".join(f"`{rule.reason}`" for rule in stage.rules())
        lines.append(
            f"| {link} | {_about(stage)} | {reasons or _always(stage)} | {_source(stage)} |"
        )
    return "\n".join(lines)


def stage_pages() -> str:
    """Returns a Markdown section for each stage kind: text, settings, columns and rules."""
    return "\n".join(_page(kind, stage) for kind, stage in _examples())


def noise_table() -> str:
    """Returns the Markdown table of the operations of noise, each with an example."""
    from curation.noising import examples

    lines = ["| operation | for each | that | example |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | {unit} | {what} | {_shown(text)} |" for name, unit, what, text in examples()
    ]
    return "\n".join(lines)


def _shown(text: str) -> str:
    """Shows a text with the white space that noise changed."""
    signs = {"\n": "\u23ce", "\t": "\u21e5", "\u00a0": "\u237d", "  ": "\u2423\u2423"}
    for char, sign in signs.items():
        text = text.replace(char, sign)
    return _cell(text)


PARTS: dict[str, Callable[[], str]] = {
    "stages": stage_table,
    "reference": stage_pages,
    "noise": noise_table,
}
"""What stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""


def _examples() -> Iterator[tuple[str, Stage]]:
    for kind, model in KINDS.items():
        # Without validation: an example may name a file that is not there.
        yield kind, model.model_construct(kind=kind, **model.example)


def _about(stage: Stage) -> str:
    return (inspect.getdoc(type(stage)) or "").split("\n\n")[0].replace("\n", " ").rstrip(".")


def _source(stage: Stage) -> str:
    """Returns what a module's docstring says after "Source:", up to the first semicolon or stop."""
    about = inspect.getdoc(inspect.getmodule(type(stage))) or ""
    found = re.search(r"Sources?:\s+(.+?)(?:;|(?<!al)\.\s|\.?\s*\Z)", about, re.DOTALL)
    return " ".join(found[1].split()) if found else "ours"


def _always(stage: Stage) -> str:
    return "decided over all documents" if isinstance(stage, GlobalStage) else "never"


def _page(kind: str, stage: Stage) -> str:
    file = Path(inspect.getfile(type(stage))).name
    how = "over all documents at once" if isinstance(stage, GlobalStage) else "batch by batch"
    parts = [
        f"## {kind}\n",
        f"{inspect.getdoc(type(stage)) or ''}\n",
        f"Works {how}. Source: {_source(stage)}. Code: [`{file}`](../curation/stages/{file}).\n",
        _section("setting | default | meaning", _settings(stage)),
        _section("column | type | unit, range | meaning", map(_column, stage.writes())),
        _section("reason | rejected when (defaults)", map(_rule, stage.rules())),
    ]
    return "\n".join(part for part in parts if part)


def _section(head: str, rows: Iterator[str]) -> str:
    lines = list(rows)
    rule = " | ".join("---" for _ in head.split("|"))
    return "\n".join([f"| {head} |", f"| {rule} |", *lines, ""]) if lines else ""


def _settings(stage: Stage) -> Iterator[str]:
    told = _attribute_docstrings(type(stage))
    for name, field in type(stage).model_fields.items():
        if name not in Stage.model_fields:
            default = (
                "required"
                if field.is_required()
                else _default(field.get_default(call_default_factory=True))
            )
            yield f"| `{name}` | {default} | {_cell(told.get(name, ''))} |"


def _attribute_docstrings(model: type) -> dict[str, str]:
    """Returns what stands below each field, that of a subclass before that of its base.

    Pydantic can put it into the fields as a class is made, but each process would pay for that.
    """
    found: dict[str, str] = {}
    for base in model.__mro__[model.__mro__.index(Stage) :: -1]:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, doc in pairwise(definition.body):
            match field, doc:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = inspect.cleandoc(text)
    return found


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict) and len(str(value)) > 80:
        return f"{len(value)} entries"
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return f"`{_cell(shown)}`" if len(shown) <= 120 else f"`{_cell(shown[:117])}...`"


def _column(field: pa.Field) -> str:
    facts = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
    unit = ", ".join(fact for fact in (facts.get("unit"), facts.get("range")) if fact)
    return (
        f"| `{field.name}` | {_cell(str(field.type))} | {unit} | {_cell(facts.get('about', ''))} |"
    )


def _rule(rule: Rule) -> str:
    sides = []
    if rule.low is not None:
        sides.append(f"< {rule.low:g}")
    if rule.high is not None:
        sides.append(f"> {rule.high:g}")
    return f"| `{rule.reason}` | `{rule.column}` {' or '.join(sides)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def with_parts(text: str) -> str:
    """Returns a document with what lies between known markers made anew.

    Raises:
        ValueError: There is no pair of markers.
    """
    met = False
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin in text and end in text:
            before, _, rest = text.partition(begin)
            text = f"{before}{begin}\n{make()}\n{end}{rest.partition(end)[2]}"
            met = True
    if not met:
        raise ValueError(f"no part is marked; expected <!-- NAME: begin --> with {list(PARTS)}")
    return text


def main(arguments: list[str]) -> None:
    """Prints all parts, or writes them into the files named."""
    if not arguments:
        sys.stdout.write("\n".join(make() for make in PARTS.values()) + "\n")
    for name in arguments:
        text = with_parts(Path(name).read_text(encoding="utf-8"))
        with replacing(Path(name)) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
