"""One page at a time, with all that is known of it as arrays: for training and for questions."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.blocks import Lexicon, build_blocks
from curation.html.features import FEATURES, describe
from curation.html.pages import Bench, make_bench
from curation.html.room import BEGIN, MARK, NODES, STOP
from curation.html.sums import padded
from curation.html.tokens import Names, read_tokens

_LESS = ord("<")


class PageBlocks(NamedTuple):
    """The b blocks of a page."""

    table: npt.NDArray[np.int32]
    """int32[b, BLOCK_COLUMNS]: see `room`."""
    texts: list[str]
    values: npt.NDArray[np.float32]
    """float32[b, features]: see `features.FEATURES`."""
    nodes: npt.NDArray[np.int32]
    """int32[n, NODE_COLUMNS]."""
    marks: npt.NDArray[np.int32]
    """int32[m, 3]."""


class Reader:
    """Reads pages one by one, in room that grows with the largest of them."""

    def __init__(self) -> None:
        """Makes no room yet."""
        self._bench: Bench | None = None
        self._tags = self._size = 0

    def read(self, page: bytes) -> PageBlocks:
        """Returns the blocks of a page in UTF-8."""
        data = np.frombuffer(page, np.uint8)
        bench = self._room_for(int((data == _LESS).sum()), len(page))
        count = read_tokens(data, Names(), bench.tokens)
        build_blocks(data, bench.tokens, count, bench.room, Lexicon())
        blocks = describe(bench.room, bench.desk)
        room, stride = bench.room, padded(blocks)
        table = room.blocks[:blocks].copy()
        values = bench.desk.values[: len(FEATURES) * stride].reshape(len(FEATURES), stride)
        return PageBlocks(
            table,
            [bytes(room.text[row[BEGIN] : row[STOP]]).decode() for row in table],
            values[:, :blocks].T.copy(),
            room.nodes[: room.registers[NODES]].copy(),
            room.marks[: room.registers[MARK]].copy(),
        )

    def _room_for(self, tags: int, size: int) -> Bench:
        if self._bench is None or tags > self._tags or size > self._size:
            self._tags, self._size = max(tags, 2 * self._tags), max(size, 2 * self._size)
            self._bench = make_bench(self._tags, self._size)
        return self._bench
