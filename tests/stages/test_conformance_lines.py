"""docs/conformance-lines.md against the code."""

from pathlib import Path

import pytest

from curation.stages.c4_quality import C4Quality
from curation.stages.fineweb_quality import FinewebQuality
from curation.text import refinedweb
from curation.text.c4 import DEFINITIONS
from curation.text.sentences import ABBREVIATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "conformance-lines.md").read_text(encoding="utf-8")
WAYS = {
    "lines end where": "all_line_ends",
    "lines lose": "strip",
    "empty lines": "keep_blank",
    "words are counted": "words_after_citations",
    "white space may": "space_after_mark",
    "pages are rejected": "flags_first",
}


def _table(heading):
    """The rows of the first table below a heading, as lists of cells."""
    lines = PAGE.split(f"\n## {heading}\n")[1].split("\n")
    start = next(at for at, line in enumerate(lines) if line.startswith("|"))
    for line in lines[start:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def _shown(value):
    if isinstance(value, tuple):
        return f"`{' '.join(value)}`"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_readings_of_c4_are_the_codes():
    head, _, _, *rows = _table("C4: four readings")
    names = [cell.split("`")[1] for cell in head[1:]]
    assert names == list(DEFINITIONS)
    stages = [C4Quality(kind="c4_quality", definition=name) for name in names]
    shown = {row[0].strip("`"): row[1:] for row in rows}
    for setting in DEFINITIONS["tfds"].settings:
        assert shown.pop(setting) == [_shown(getattr(stage, setting)) for stage in stages]
    for start, way in WAYS.items():
        row = next(name for name in shown if name.startswith(start))
        expected = ["yes" if getattr(DEFINITIONS[name], way) else "no" for name in names]
        assert shown.pop(row) == expected
    assert not shown


def test_bounds_of_fineweb_are_the_codes():
    _, _, *rows = _table("FineWeb")
    stage = FinewebQuality(kind="fineweb_quality")
    assert {row[0].strip("`"): row[1] for row in rows} == {
        name: str(getattr(stage, name))
        for name in FinewebQuality.model_fields
        if name.startswith(("min_", "max_", "short_"))
    }


def test_readings_of_refinedweb_are_the_codes():
    head, _, *rows = _table("RefinedWeb's line-wise corrections: two readings")
    names = [cell.split("`")[1] for cell in head[1:]]
    assert names == list(refinedweb.DEFINITIONS)
    shown = [[cell == "yes" for cell in row[1:]] for row in rows]
    flags = [refinedweb.DEFINITIONS[name] for name in names]
    assert shown == [
        [not how.visible_only for how in flags],
        [how.wild_dots for how in flags],
        [not how.all_words for how in flags],
        [how.whole_lines for how in flags],
    ]


@pytest.mark.parametrize(
    "fact", [f"{len(ABBREVIATIONS)} English abbreviations", "63 texts", "80 more"]
)
def test_counts_in_the_text_are_the_codes(fact):
    assert fact in PAGE
