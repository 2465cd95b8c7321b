"""Reads the labelled texts, and measures a finder on them: precision and recall by kind.

python -m tests.personal_data.labelled prints the table of docs/personal-data.md.
"""

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curation.stages.personal_data import PersonalData
from curation.text.pii_formats import KINDS
from tests.conftest import make_batch

HERE = Path(__file__).parent
_MARK = re.compile(r"\[\[(\w+)\|(.*?)\]\](?!\])", re.DOTALL)


class Span(NamedTuple):
    start: int
    end: int
    kind: str


class Labelled(NamedTuple):
    part: str
    text: str
    spans: list[Span]


class Score(NamedTuple):
    """Of one kind: spans that are labelled, found, right (overlapping, same kind) and exact."""

    labelled: int
    found: int
    right: int
    met: int
    exact: int

    @property
    def precision(self):
        return self.right / self.found if self.found else float("nan")

    @property
    def recall(self):
        return self.met / self.labelled if self.labelled else float("nan")


def parse(line: str) -> Labelled:
    """Takes the marks out of a line of hard.txt."""
    rest, text, spans = (
        line.replace("\\\\n", "\0").replace("\\n", "\n").replace("\0", "\\n"),
        "",
        [],
    )
    while found := _MARK.search(rest):
        text += rest[: found.start()]
        spans.append(Span(len(text), len(text) + len(found[2]), found[1]))
        text += found[2]
        rest = rest[found.end() :]
    return Labelled("hard", text + rest, spans)


def read_labelled() -> list[Labelled]:
    lines = (HERE / "hard.txt").read_text(encoding="utf-8").splitlines()
    hard = [parse(line) for line in lines if line and not line.startswith("#")]
    with gzip.open(HERE / "generated.jsonl.gz", "rt", encoding="utf-8") as rows:
        made = [json.loads(row) for row in rows]
    spans = [[Span(*span) for span in row["spans"]] for row in made]
    return hard + [
        Labelled("generated", row["text"], of_row) for row, of_row in zip(made, spans, strict=True)
    ]


def stage(**settings) -> PersonalData:
    return PersonalData(kind="personal_data", secret="redact", wallet_key="redact", **settings)


def find_by_stage(texts: list[str]) -> list[list[Span]]:
    columns = stage().open()(make_batch(texts))
    rows = pa.array(columns["personal_data_spans"]).to_pylist()
    return [[Span(span["start"], span["end"], span["kind"]) for span in row] for row in rows]


def measure(
    documents: list[Labelled],
    finder: Callable[[list[str]], list[list[Span]]],
    kinds: Iterable[str] = KINDS,
) -> dict[str, Score]:
    """Counts by kind; a find is right where it overlaps a label of its kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for document, found in zip(documents, finder([row.text for row in documents]), strict=True):
        for span in found:
            counts[span.kind, "found"] += 1
            counts[span.kind, "right"] += any(_meet(span, label) for label in document.spans)
            counts[span.kind, "exact"] += span in document.spans
        for label in document.spans:
            counts[label.kind, "labelled"] += 1
            counts[label.kind, "met"] += any(_meet(span, label) for span in found)
    names = ("labelled", "found", "right", "met", "exact")
    return {kind: Score(*(counts[kind, name] for name in names)) for kind in kinds}


def _meet(a: Span, b: Span) -> bool:
    return a.kind == b.kind and a.start < b.end and b.start < a.end


def table(scores: dict[str, Score]) -> str:
    lines = ["| kind | labelled | found | precision | recall | exact |", "| --- " * 6 + "|"]
    for kind, score in scores.items():
        exact = score.exact / score.right if score.right else float("nan")
        lines.append(
            f"| {kind} | {score.labelled} | {score.found} | {score.precision:.3f} "
            f"| {score.recall:.3f} | {exact:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    documents = read_labelled()
    for part in ("hard", "generated"):
        some = [document for document in documents if document.part == part]
        without = sum(not document.spans for document in some)
        sys.stdout.write(f"\n{part}: {len(some)} texts, {without} of them without a find\n\n")
        sys.stdout.write(table(measure(some, find_by_stage)) + "\n")


if __name__ == "__main__":
    main()
