"""docs/conformance.md: what each definition measures, beside what the programs themselves measured.

`python -m tests.conformance` writes the page anew; a test holds it to the code.
"""

import gzip
import json
import math
from pathlib import Path

import numpy as np

from curation.text.definitions import DEFINITIONS
from curation.text.gopher_rivals import rival_quality
from curation.text.repetition import STATISTICS, repetition
from curation.text.stop_words import stop_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
MEASURED = json.loads((ROOT / "tests/text/gopher_rivals.json").read_text(encoding="utf-8"))
RIVALS = DEFINITIONS[1:]
ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
SHOWN = {
    "A": ("duplicate_lines", "duplicate_line_chars", "top_3gram", "top_4gram", "duplicate_10grams"),
    "B": ("top_2gram", "top_3gram", "top_4gram"),
    "C": ("top_3gram", "top_4gram"),
    "D": ("duplicate_lines", "duplicate_line_chars", "duplicate_paragraphs", "duplicate_5grams"),
    "E": ("top_2gram", "duplicate_5grams", "duplicate_10grams"),
}


def read_texts() -> dict[str, str]:
    """Returns the texts by name: written for this, or rows of the sample."""
    texts = {}
    for name, entry in MEASURED["texts"].items():
        if isinstance(entry, str):
            texts[name] = entry
        else:
            with gzip.open(ROOT / "data/sample" / f"{entry['file']}.jsonl.gz", "rt") as lines:
                row = [line for _, line in zip(range(entry["row"] + 1), lines, strict=False)][-1]
            texts[name] = json.loads(row)["text"][: entry["chars"]]
    return texts


def measure(text: str, definition: str) -> dict[str, float]:
    """Returns all that our kernels measure of a text, by name."""
    raw = text.encode()
    offsets, data = np.array([0, len(raw)]), np.frombuffer(raw, np.uint8)
    found = dict(zip(STATISTICS, repetition(offsets, data, definition)[0].tolist(), strict=True))
    if definition == "paper":
        return found
    table = stop_table([ENGLISH], exact=definition != "dclm")
    rest = rival_quality(offsets, data, definition, table, np.zeros(1, np.int64))._asdict()
    renamed = {"dolma": {"word_chars": "median_word_chars"}}
    names = {"word_chars": "mean_word_chars", **renamed.get(definition, {})}
    if definition == "datatrove":
        names["symbol_ratio"] = "ellipsis_ratio"
    return found | {names.get(name, name): values[0].item() for name, values in rest.items()}


def compare() -> dict[str, list[tuple[str, str, float, float | list[float]]]]:
    """Returns (text, statistic, ours, theirs) by definition, where both have a value."""
    texts, pairs = read_texts(), {}
    for definition in RIVALS:
        pairs[definition] = [
            (name, statistic, ours[statistic], theirs)
            for name, text in texts.items()
            for ours in [measure(text, definition)]
            for statistic, theirs in MEASURED["values"][name][definition].items()
            if not math.isnan(ours[statistic])
        ]
    return pairs


def _cell(value) -> str:
    if isinstance(value, list):
        return f"{min(value):.3f} to {max(value):.3f}"
    return "" if value is None or math.isnan(value) else f"{value:.3f}"


def tables() -> str:
    """Returns the tables of the page."""
    texts = read_texts()
    head = "".join(f" {name}: ours | measured |" for name in RIVALS)
    lines = [f"| text | statistic | paper |{head}", "| --- | --- | --- |" + " --- | --- |" * 4]
    for name, statistics in SHOWN.items():
        ours = {definition: measure(texts[name], definition) for definition in DEFINITIONS}
        for statistic in statistics:
            cells = [_cell(ours["paper"][statistic])]
            for definition in RIVALS:
                theirs = MEASURED["values"][name][definition].get(statistic)
                cells += [_cell(ours[definition][statistic]), _cell(theirs)]
            lines.append(f"| {name} | {statistic} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| definition | program | values | equal | within 0.01 | depend on the hash seed |",
    ]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for definition, pairs in compare().items():
        plain = [(ours, theirs) for *_, ours, theirs in pairs if not isinstance(theirs, list)]
        equal = sum(abs(ours - theirs) < 1e-6 for ours, theirs in plain)
        near = sum(abs(ours - theirs) < 0.01 for ours, theirs in plain)
        program, tied = MEASURED["versions"][definition], len(pairs) - len(plain)
        lines.append(f"| {definition} | {program} | {len(pairs)} | {equal} | {near} | {tied} |")
    return "\n".join(lines)


def with_tables(page: str) -> str:
    """Returns the page with its tables made anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
