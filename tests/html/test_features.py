"""What is known about blocks, against plain Python on small pages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.html.features import FEATURES
from curation.html.reader import Reader
from tests.html.test_blocks import TAGS

READER = Reader()
PAGE = """<body><nav class="main-menu"><ul><li><a href=a>Home</a><li><a href=b>News</a></ul></nav>
<article class="post"><h1>The mill</h1><p>{prose}<p>{prose}</article>
<div id="comments"><h2>Comments</h2><p>Nice, thank you very much.</div>"""
PROSE = "The harvest was late that year, and the mill stood idle until the first frost. " * 2


def features(page: str, block: int) -> dict[str, float]:
    values = READER.read(page.encode()).values
    assert values.shape[1] == len(FEATURES)
    return dict(zip(FEATURES, values[block].tolist(), strict=True))


@pytest.fixture(scope="module")
def blocks() -> list[dict[str, float]]:
    page = PAGE.format(prose=PROSE)
    return [features(page, block) for block in range(7)]


def test_a_block_knows_itself(blocks: list[dict[str, float]]) -> None:
    home, prose = blocks[0], blocks[3]
    assert (home["size"], home["words"], home["link share"]) == (4, 1, 1)
    assert prose["size"] == len(PROSE.replace(" ", ""))
    assert prose["words"] == len(PROSE.split())
    assert (prose["sentence ends"], prose["clause ends"], prose["last"]) == (2, 2, 1)
    assert prose["stop word share"] > 0.4


def test_a_block_knows_its_place(blocks: list[dict[str, float]]) -> None:
    assert [block["place"] for block in blocks] == pytest.approx([k / 7 for k in range(7)])
    assert [block["since heading"] for block in blocks] == [999, 999, 0, 1, 2, 0, 1]
    assert [block["from first h1"] for block in blocks] == [-2, -1, 0, 1, 2, 3, 4]
    assert [block["from longest"] for block in blocks] == [-3, -2, -1, 0, 1, 2, 3]
    assert blocks[6]["size since heading"] == len("Comments")
    assert blocks[2]["prose after"] == 2 * len(PROSE.replace(" ", ""))


def test_a_block_knows_its_neighbours(blocks: list[dict[str, float]]) -> None:
    assert blocks[0]["size at -1"] == -1
    assert blocks[0]["link share at +1"] == 1
    assert blocks[5]["size at -1"] == blocks[4]["size"]


def test_a_block_knows_its_containers(blocks: list[dict[str, float]]) -> None:
    prose, comment = blocks[3], blocks[6]
    assert prose["blocks of container 1"] == 3
    assert prose["levels to core"] == 1
    assert prose["levels to best"] == 1
    assert comment["levels to core"] == -1
    assert prose["page share of container 1"] > 0.8
    assert prose["in article"] == 1
    assert comment["in article"] == 0


def test_a_block_knows_what_names_say(blocks: list[dict[str, float]]) -> None:
    assert blocks[0]["attribute hint navigation"] == 2
    assert blocks[3]["attribute hint article"] == 2
    assert blocks[6]["attribute hint comments"] == 2
    assert blocks[5]["text hint comments"] == 1
    assert blocks[6]["heading hint comments"] == 1
    assert blocks[3]["heading hint comments"] == 0


def test_a_block_knows_what_repeats(blocks: list[dict[str, float]]) -> None:
    assert blocks[3]["times of equal text"] == 2
    assert blocks[2]["times of equal text"] == 1
    assert blocks[0]["times of equal path"] == 2
    assert blocks[0]["link share of equal path"] == 1


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from(TAGS), max_size=30).map("".join))
def test_values_are_finite_and_the_same_whatever_was_read_before(page: str) -> None:
    fresh = Reader().read(page.encode()).values
    READER.read(PAGE.format(prose=PROSE).encode())
    again = READER.read(page.encode()).values
    assert np.isfinite(fresh).all()
    assert np.array_equal(fresh, again)
