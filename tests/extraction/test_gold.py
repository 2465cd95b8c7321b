"""Reading gold: the three ways to say what the main text is, and what is wrong with a file."""

import json

import pytest

from curation.errors import DataError, RecipeError
from curation.extraction.gold import read_gold, read_templates
from curation.extraction.templates import main_text
from tests.extraction.factory import main_text_of, paragraphs, write_archive, write_gold


def test_whole_texts_group_by_registered_domain(tmp_path):
    gold = read_gold(write_gold(tmp_path, "texts", range(6)))

    assert (gold.name, gold.licence) == ("texts", "CC0-1.0")
    assert [page.text for page in gold.pages] == [main_text_of(seed) for seed in range(6)]
    assert [page.group for page in gold.pages] == ["site0.org"] * 3 + ["site1.org"] * 3
    assert {page.kind for page in gold.pages} == {"body"}
    assert sorted(gold.files) == ["texts.gold.jsonl", "texts.warc.gz"]


def test_site_is_the_group_where_a_line_names_one(tmp_path):
    rows = [{"articleBody": "x", "site": "one"}, {"articleBody": "y", "site": "one"}]
    gold = read_gold(write_gold(tmp_path, "sites", range(3, 5), rows))
    assert [page.group for page in gold.pages] == ["one", "one"]


def test_selectors_give_the_text_of_their_elements(tmp_path):
    rows = [{"main": [".content"], "drop": ["h1"], "slice": ["list"]}]
    [page] = read_gold(write_gold(tmp_path, "parts", range(7, 8), rows)).pages
    assert page.text == "\n".join(paragraphs(7))
    assert (page.kind, page.slices) == ("template", ("list", "short"))


def test_fragments(tmp_path):
    rows = [{"with": [paragraphs(1)[0]], "without": ["Terms"]}]
    [page] = read_gold(write_gold(tmp_path, "parts", range(1, 2), rows)).pages
    assert (page.kind, page.text) == ("fragments", "")
    assert page.wanted == (paragraphs(1)[0],)
    assert page.unwanted == ("Terms",)
    assert page.slices == ()


def test_short_is_a_slice_of_the_pages_with_little_text(tmp_path):
    rows = [{"articleBody": "x" * 999}, {"articleBody": "x" * 1000}]
    gold = read_gold(write_gold(tmp_path, "sizes", range(2), rows))
    assert [page.slices for page in gold.pages] == [("short",), ()]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is no JSON object"),
        ('{"articleBody": "x"}', "line 2 is no JSON object with a record_id"),
        ('{"record_id": 3, "text": "x"}', "line 2 is no JSON object with a record_id"),
        ("[]", "line 2 is no JSON object"),
        ('{"record_id": "urn:uuid:0"}', "line 2 has no articleBody, text, main or with"),
        ('{"record_id": "urn:uuid:77", "text": "x"}', "page urn:uuid:77 is not in"),
    ],
)
def test_wrong_line_is_named(tmp_path, line, message):
    path = write_gold(tmp_path, "wrong", range(1))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=message):
        read_gold(path)


def test_other_name_and_missing_file(tmp_path):
    with pytest.raises(RecipeError, match=r"expected a file NAME\.gold\.jsonl"):
        read_gold(tmp_path / "pages.jsonl")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_gold(tmp_path / "none.gold.jsonl")


TEMPLATES = """
drop = ".footer"
min_chars = 10

[[templates]]
family = "zero"
url = "https://www.site0.org/"
main = ".content"
licence = "MIT"
pages = 2
slices = ["manual"]

[[templates]]
family = "one"
url = "https://www.site1.org/"
licence = "CC0-1.0"
"""


def test_templates_draw_pages_of_their_sites(tmp_path):
    write_archive(tmp_path / "pages.warc.gz", range(9))
    (tmp_path / "some.toml").write_text(TEMPLATES)
    gold = read_templates(tmp_path / "some.toml", [tmp_path / "pages.warc.gz"])

    assert [page.group for page in gold.pages] == ["zero"] * 2 + ["one"] * 3
    assert gold.pages[0].text in {main_text_of(seed) for seed in range(3)}
    assert gold.pages[0].slices == ("manual",)
    assert gold.pages[2].text.startswith("river")  # the whole body, the menu as well
    assert "Terms" not in gold.pages[2].text
    assert gold.licence == "CC0-1.0, MIT"


def test_templates_with_a_typo(tmp_path):
    (tmp_path / "some.toml").write_text(TEMPLATES.replace("family", "famly"))
    with pytest.raises(RecipeError, match=r"'famly'.*family"):
        read_templates(tmp_path / "some.toml", [])


def test_outer_of_nested_elements_counts_once():
    page = "<div class=a>one<div class=a>two</div></div><p>no</p><div class=a>three</div>"
    assert main_text(page, ".a", "") == "one\ntwo\nthree"


def test_text_of_a_deep_page_needs_no_recursion():
    page = "<div>" * 400 + "deep" + "</div>" * 400
    assert main_text(page, "body", "") == "deep"


def test_gold_lines_survive_hostile_text(tmp_path):
    rows = [{"articleBody": "\u2028one\x85two\x1b[31m"}]
    path = write_gold(tmp_path, "odd", range(1), rows)
    assert json.loads(path.read_text().split("\n")[0])["articleBody"] == rows[0]["articleBody"]
    assert read_gold(path).pages[0].text == rows[0]["articleBody"]
