"""The table of stages in the README, made from the stages themselves.

`python -m curation.reference` prints it; with file names it rewrites the part of those files
between the two markers.
"""

import inspect
import sys
from pathlib import Path

from curation.shards import replacing
from curation.stage import GlobalStage, Rule, Stage
from curation.stages import KINDS

BEGIN, END = "<!-- stages: begin -->", "<!-- stages: end -->"


def stage_table() -> str:
    """Returns the Markdown table of all stage kinds, in the order in which rows meet them."""
    lines = [
        "| kind | what it does | writes | rejects when (defaults) |",
        "| --- | --- | --- | --- |",
    ]
    for kind, model in KINDS.items():
        stage = model(kind=kind)
        module = inspect.getmodule(model)
        file = Path(str(module.__file__)).name if module else ""
        about = (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ").rstrip(".")
        writes = ", ".join(f"`{name}`" for name in stage.writes().names)
        link = f"[`{kind}`](curation/stages/{file})"
        lines.append(f"| {link} | {about} | {writes} | {_rejects(stage)} |")
    return "\n".join(lines)


def _rejects(stage: Stage) -> str:
    rules = [f"`{rule.reason}`: {_condition(rule)}" for rule in stage.rules()]
    if not rules and isinstance(stage, GlobalStage):
        rules = ["another document is kept in its place"]
    return "; ".join(rules) or "never"


def _condition(rule: Rule) -> str:
    sides = []
    if rule.low is not None:
        sides.append(f"< {rule.low:g}")
    if rule.high is not None:
        sides.append(f"> {rule.high:g}")
    return f"{rule.column} {' or '.join(sides)}"


def with_table(text: str) -> str:
    """Returns a document with the table between its markers made anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are not both there")
    return f"{before}{begin}\n{stage_table()}\n{end}{after}"


def main(arguments: list[str]) -> None:
    """Prints the table, or writes it into the files named."""
    if not arguments:
        sys.stdout.write(stage_table() + "\n")
    for name in arguments:
        text = with_table(Path(name).read_text(encoding="utf-8"))
        with replacing(Path(name)) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
