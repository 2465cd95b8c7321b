"""The report as its readers need it: plain, whole, harmless, and never silent about what lacks."""

import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.study import report as report_module
from curation.study.conclude import Setting, conclude, measured_terms
from curation.study.prices import Range
from curation.study.report import render, write_report
from curation.study.runs import make_runs
from tests.study.rows import study_rows

pytest.importorskip("matplotlib")
FORMS = ("chinchilla", "tied", "recipes-shared", "recipes")
TOKENS = (600_000, 1_200_000, 2_400_000, 4_800_000)
EVIL = '_<script>alert("x")</script> $\\frac{$ "onload=\u202e 模型'


def concluded(rows, *, preset="", text=1e-10, hour=0.04, directory=None, **terms):
    runs = make_runs(rows)
    prices = {"raw": Range.exact(0), "clean": Range.exact(1e-11)}
    found = measured_terms(
        runs,
        None if hour is None else Range(hour / 2, hour, hour * 2),
        "cpu",
        text=None if text is None else Range.exact(text),
        curation=terms.pop("curation", prices),
        **terms,
    )
    setting = Setting(found, "demo", preset=preset, baseline="raw", draws=60, forms=FORMS)
    return conclude(runs, setting, directory)


@pytest.fixture(scope="module")
def rows():
    return study_rows(noise=0.005, seeds=3, tokens=TOKENS)


@pytest.fixture(scope="module")
def whole(rows):
    return concluded(rows)


def page_of(conclusion):
    return render(conclusion, {})


def words(page):
    return html.unescape(re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in {"meta", "source", "img", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    return tags


def test_the_files_are_there_and_the_page_needs_nothing_else(whole, tmp_path):
    files = write_report(tmp_path / "report", whole)
    names = {path.name for path in files}
    assert names >= {"report.html", "verdict.json", "loss.png", "returns.png", "plane.png",
                     "crossing.png", "wait.png", "residuals.png"}  # fmt: skip
    assert {path.name for path in (tmp_path / "report").iterdir()} == names
    page = files[0].read_text()
    tags = parsed(page)
    assert not {"script", "link", "iframe", "object"} & set(tags.names)
    for _, name, value in tags.attributes:
        if name in ("src", "srcset", "href"):
            assert value.startswith("data:image/svg+xml;base64,")
    assert "default-src 'none'" in page
    images = [value for tag, name, value in tags.attributes if (tag, name) == ("img", "alt")]
    assert len(images) == len(names) - 2
    assert all(images)
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_the_answer_stands_before_the_figures_and_the_method_last(whole):
    said = words(page_of(whole))
    order = ["Where should the next dollar go", "What a dollar buys", "What curation was worth",
             "Figures", "Every condition", "How this was found"]  # fmt: skip
    places = [said.index(one) for one in order]
    assert places == sorted(places)
    assert "Probably" in said[: places[1]] or "Spend it on" in said[: places[1]]


def test_every_return_and_factor_has_an_interval(whole):
    page = page_of(whole)
    table = page[page.index("What a dollar buys") : page.index("What curation was worth")]
    row = r"<tr[^>]*>\s*<td>(.*?)</td>" + 2 * r"<td class=\"n\">(.*?)</td>"
    rows = re.findall(row, table, re.DOTALL)
    assert len(rows) >= 5
    for _, mid, interval in rows[:5]:
        assert (mid == "unknown") == (interval == "unknown")
        assert interval == "unknown" or " to " in interval
    assert re.search(r"worth 1\.\d+ times the data \(1\.\d+ to 1\.\d+\)", words(page))
    assert "no interval" not in words(page)


def test_a_law_without_draws_is_said_and_decides_nothing(rows):
    runs = make_runs(rows)
    terms = measured_terms(runs, Range.exact(0.04), "cpu", text=Range.exact(1e-10))
    found = conclude(runs, Setting(terms, baseline="raw", draws=0, forms=FORMS))
    dollar = found.verdicts[-1]
    assert dollar.status == "not decided"
    assert "no interval" in words(page_of(found))


def test_a_hostile_recipe_is_text_in_the_page_and_in_every_figure(tmp_path):
    rows = study_rows({"raw": 1.0, EVIL: 1.5}, noise=0.005, seeds=3, tokens=TOKENS)
    rows.append({"status": "failed", "reason": "<img src=x onerror=alert(1)>", "recipe": "raw"})
    found = concluded(rows)
    page = write_report(tmp_path, found)[0].read_text()
    tags = parsed(page)
    assert "script" not in tags.names
    assert not [one for one in tags.attributes if one[1].startswith("on")]
    assert [one for one in tags.attributes if one[0] == "img" and one[2] == "x"] == []
    assert "<script>alert" in html.unescape(page)
    for value in re.findall(r"base64,([A-Za-z0-9+/=]+)", page):
        import base64

        drawn = base64.b64decode(value).decode()
        assert "<script" not in drawn
        assert "onload=" not in drawn or "&quot;" in drawn
    json.loads((tmp_path / "verdict.json").read_text())


def test_an_unknown_price_is_unknown_everywhere(rows):
    found = concluded(rows, text=None)
    said = words(page_of(found))
    assert "The price of text is unknown." in said
    assert found.verdicts[-1].status == "not decided" or "text" not in found.verdicts[-1].choice
    text = next(one for one in found.returns if one.name == "more text")
    assert text.per_dollar is None
    assert found.plane.in_tokens
    assert found.recipes[0].worth.dollars is None
    assert re.search(r"million tokens of text\s+unknown", said)
    assert not re.search(r"text\s+\$0", said)


def test_without_the_price_of_an_hour_nothing_has_dollars(rows):
    found = concluded(rows, hour=None)
    assert found.verdicts[-1].status == "not decided"
    assert found.plane.in_flops
    assert all(
        one.per_dollar is None for one in found.returns if one.name != "curation (raw to clean)"
    )


def test_a_failed_cell_is_told_with_its_reason(rows):
    bad = {**rows[0], "status": "failed", "reason": "killed: out of memory", "loss": None}
    found = concluded([bad, *rows[1:]])
    said = words(page_of(found))
    assert f"{len(rows) - 1} of {len(rows)} cells are done: 1 failed, 0 skipped." in said
    assert "killed: out of memory" in said


@pytest.mark.parametrize(
    "rows", [[], [{"status": "failed", "reason": "no device", "recipe": "raw"}] * 3]
)
def test_without_a_done_cell_there_is_a_page_that_says_so(rows, tmp_path):
    found = concluded(rows)
    files = write_report(tmp_path, found)
    assert [path.name for path in files] == ["report.html", "verdict.json"]
    said = words(files[0].read_text())
    assert ("No cell is done: 3 failed, 0 skipped." if rows else "There are no runs") in said
    assert "no law could be fitted" in said
    assert not re.search(r"\bnan\b|\binf\b|None", said)
    assert json.loads(files[1].read_text())["status"] == "not decided"


def test_a_grid_too_small_is_told():
    found = concluded(study_rows(noise=0.005, seeds=3, sizes=(30_000,), tokens=TOKENS))
    said = words(page_of(found))
    assert "The grid is too small" in said
    assert found.verdicts[-1].status == "not decided"


def test_a_smoke_test_decides_nothing(rows):
    found = concluded(rows, preset="smoke")
    assert {one.status for one in found.verdicts} == {"not decided"}
    assert "smoke test" in words(page_of(found))


def test_one_recipe_under_two_names_gets_no_money():
    rows = study_rows({"raw": 1.0, "clean": 1.0}, noise=0.01, seeds=3, tokens=TOKENS, seed=5)
    found = concluded(rows)
    assert found.verdicts[0].status == "not decided"
    assert "curation" not in found.verdicts[-1].choice
    assert "These runs cannot tell" in words(page_of(found))


def test_documents_are_read_beside_the_runs(rows, tmp_path):
    rng = np.random.default_rng(0)
    placed = []
    for number, row in enumerate(rows):
        name = f"cells/{number}.parquet"
        bits = rng.normal(100 * row["loss"], 1, 60) * 8
        (tmp_path / "cells").mkdir(exist_ok=True)
        pq.write_table(
            pa.table(
                {"doc_id": [str(k) for k in range(60)], "bytes": [800] * 60, "bits_after": bits}
            ),
            tmp_path / name,
        )
        placed.append({**row, "bits_file": name})
    found = concluded(placed, directory=tmp_path)
    assert found.verdicts[0].status == "decided", found.verdicts[0].why
    assert found.verdicts[0].choice == "clean"


def test_devices_are_tabled_with_their_loss(rows):
    raw = next(row for row in rows[::-1] if row["recipe"] == "raw")
    timed = [
        {
            **raw,
            "recipe": "raw",
            "devices": k,
            "seed": seed,
            "tokens_per_second": 9.0 * k + seed,
        }
        for k in (1, 2)
        for seed in range(3)
    ]
    found = concluded([*rows, *timed])
    said = words(page_of(found))
    assert re.search(r"strong\s+2\s+\d+%", said)
    assert "not identifiable" in said
    assert "is not that on one" not in said
    for one in timed[3:]:
        one["loss"] *= 1.2
    said = words(page_of(concluded([*rows, *timed])))
    assert "The loss on 2 devices is not that on one" in said
    assert "NOT the same" in said


def test_a_recipe_without_a_price_is_told(rows):
    found = concluded(rows, curation={"raw": Range.exact(0)})
    assert "The price of curation of clean is unknown." in words(page_of(found))
    assert all(one.per_dollar is None for one in found.returns if "curation" in one.name)


def test_a_page_that_cannot_be_written_leaves_the_old_one(whole, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old")
    monkeypatch.setattr(report_module, "write_verdict", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path, whole)
    assert (tmp_path / "report.html").read_text() == "old"
    assert not list(tmp_path.glob(".*.tmp"))


def test_equal_conclusions_give_equal_files(whole, tmp_path):
    for name in ("one", "two"):
        write_report(tmp_path / name, whole)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_the_order_of_rows_changes_nothing(rows):
    pages = [page_of(concluded(list(order))) for order in (rows, rows[::-1])]
    assert pages[0] == pages[1]


def test_repeated_text_has_a_worth_or_is_counted_as_untold(rows):
    own = next(row for row in rows if row["recipe"] == "raw" and row["tokens"] == 2_400_000)
    repeated = {"unique_tokens": 600_000, "epochs": 4.0}
    told = {**own, **repeated, "loss": own["loss"] * 1.01}
    untold = {**own, **repeated, "loss": own["loss"] * 2}
    page = words(page_of(concluded([*rows, told])))
    assert "What repeated text was worth" in page
    assert "cannot be told" not in page
    page = words(page_of(concluded([*rows, told, {**untold, "recipe": "clean"}])))
    assert "1 cell with repeated text cannot be told" in page
    assert "What repeated text was worth" not in words(page_of(concluded(rows)))
