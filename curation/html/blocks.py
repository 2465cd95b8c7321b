"""Tokens to blocks: a tree of containers, and the pieces of text between their tags.

A block is the text between two tags of containers, or two `br` in a row, or an `hr`. One `br` is a
line feed. What is left out with all that is in it: `head`, `select`, `svg`, `button` and the like.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.hints import TEXTS, Automaton, find_hints
from curation.html.inline import SIGN_TABLE, STOP_TABLE, add_text, end_word, is_sign
from curation.html.names import (
    BLOCK as BLOCK_KIND,
)
from curation.html.names import (
    DROPPED,
    FNV_START,
    INLINE,
    KIND,
    NUMBERS,
    VOID,
    NameTable,
    numbered,
)
from curation.html.room import (
    AT,
    BEGIN,
    BLOCK,
    BREAKS,
    BROKEN,
    DEPTH,
    DROPPED_DEPTH,
    DROPPED_ELEMENT,
    DROPPED_INNER,
    ELEMENT,
    FINAL,
    FIRST,
    HASH,
    HINTS,
    IMAGES,
    IN_BOLD,
    IN_LINK,
    IN_PRE,
    LAST,
    LINK_DEPTH,
    LINKS,
    MARK,
    MARKED,
    NEWLINE,
    NO_WORD,
    NODE,
    NODES,
    NOTHING,
    OPEN_NODE,
    OUT,
    PARENT,
    PENDING,
    STARTED,
    STOP,
    TEXT_HINTS,
    TOKEN,
    WIDE,
    WORD,
    WORDS,
    Room,
)
from curation.html.tokens import END, LEAVES_FOREIGN, LINK, SELF_CLOSING, START, TEXT, Tokens
from curation.html.tree import (
    close_to,
    container_to_end,
    is_out_of_place,
    make_way,
    open_container,
)
from curation.text.jit import int64, lean, lean_inlined, read_only
from curation.text.unicode import SPACE, char_class, decode
from curation.text.xxh64 import xxh64

Bytes = npt.NDArray[np.uint8]

_MARKED = read_only(numbered("a b strong i em cite var code tt kbd samp del s strike sub sup q"))
_BOLD = read_only(numbered("b strong"))
_PAGE = read_only(numbered("html body"))
_IN_HEAD = read_only(numbered("base link meta style script noscript title template"))
_MAY_STAY_OPEN = read_only(numbered("p li dt dd tr td th thead tbody tfoot"))
_A, _BR, _HR, _IMG, _HEAD, _BODY, _HTML, _SVG, _MATH, _P, _FOREIGN_OBJECT = (
    NUMBERS[name]
    for name in (
        "a",
        "br",
        "hr",
        "img",
        "head",
        "body",
        "html",
        "svg",
        "math",
        "p",
        "foreignobject",
    )
)
_SHORT_TEXT = 120  # bytes: what is longer is prose, and names nothing


class Lexicon(NamedTuple):
    """What is known of elements and words."""

    kinds: Bytes = KIND
    """uint8 by element: its kind."""
    stops: NameTable = STOP_TABLE
    """Hashes of frequent words."""
    texts: Automaton = TEXTS
    """Groups of words in short texts."""
    signs: NameTable = SIGN_TABLE
    """Hashes of the texts of links to the place that they are at."""


@lean_inlined
def _start_row(room: Room) -> None:
    registers, table = room.registers, room.blocks
    row = table[registers[BLOCK]]
    row[:] = 0
    row[BEGIN] = registers[OUT]
    row[NODE] = -1
    registers[PENDING] = NOTHING
    registers[BROKEN] = 0
    registers[WORD] = NO_WORD


@lean_inlined
def _cut_text(room: Room, end: int) -> None:
    """Takes white space off the end of the text, and moves the marks that were behind it."""
    mark = int64(room.registers[MARK]) - 1
    while mark >= 0 and room.marks[mark, AT] > end:
        room.marks[mark, AT] = end
        mark -= 1
    room.registers[OUT] = end


@lean_inlined
def _last_char(text: Bytes, begin: int, end: int) -> tuple[int, int]:
    """Returns the last character of a text that is not empty, and where it begins."""
    at = end - 1
    while at > begin and (text[at] & 0xC0) == 0x80:
        at -= 1
    return decode(text, at, end)[0], at


@lean_inlined
def finish_block(room: Room, lexicon: Lexicon) -> None:
    """Ends the open block, if there is anything in it, and begins another one."""
    registers = room.registers
    row = room.blocks[registers[BLOCK]]
    if row[NODE] >= 0:
        _finish_row(room, lexicon)
        return
    _cut_text(room, int64(row[BEGIN]))  # nothing was seen, whatever else was noted
    row[HINTS] = row[LINKS] = row[BREAKS] = row[IMAGES] = 0
    registers[PENDING] = NOTHING
    registers[BROKEN] = 0


@lean
def _finish_row(room: Room, lexicon: Lexicon) -> None:
    registers, text = room.registers, room.text
    row = room.blocks[registers[BLOCK]]
    end_word(room, lexicon.stops)
    begin, out = int64(row[BEGIN]), int64(registers[OUT])
    last, at = _last_char(text, begin, out)
    while char_class(last) & SPACE:
        out = at
        last, at = _last_char(text, begin, out)
    row[STOP], row[LAST] = out, last
    row[FIRST] = decode(text, begin, out)[0]
    row[WORDS] += row[WIDE] >> 1  # Han and kana have no spaces between words
    if out - begin <= _SHORT_TEXT:
        row[TEXT_HINTS] = find_hints(text, begin, out, lexicon.texts)
    row[HASH] = int64(xxh64(text, begin, out, np.uint64(0)) >> np.uint64(33))
    _cut_text(room, out)
    registers[BLOCK] += 1
    _start_row(room)


@lean_inlined
def _start_page(room: Room) -> None:
    registers, nodes = room.registers, room.nodes
    registers[:] = 0
    nodes[0] = 0
    nodes[0, PARENT] = nodes[0, TOKEN] = -1
    room.keys[0] = FNV_START
    registers[NODES] = 1
    _start_row(room)


@lean_inlined
def _mark(element: int, token: int, room: Room) -> None:
    registers, marks = room.registers, room.marks
    if _MARKED[element]:
        mark = registers[MARK]
        marks[mark, AT], marks[mark, MARKED], marks[mark, STARTED] = registers[OUT], element, token
        registers[MARK] = mark + 1


@lean_inlined
def _start_inline(element: int, token: int, tokens: Tokens, room: Room) -> None:
    registers = room.registers
    row = room.blocks[registers[BLOCK]]
    if element == _A:
        registers[IN_LINK] = tokens.flags[token] & LINK > 0
        registers[LINK_DEPTH] = room.nodes[registers[OPEN_NODE], DEPTH]
        row[LINKS] += registers[IN_LINK]
    registers[IN_BOLD] += _BOLD[element]
    row[HINTS] |= tokens.hints[token]
    _mark(element, token, room)


@lean_inlined
def _end_inline(element: int, room: Room) -> None:
    registers = room.registers
    if element == _A:
        registers[IN_LINK] = 0
    if _BOLD[element]:
        registers[IN_BOLD] = max(registers[IN_BOLD] - 1, 0)
    _mark(element, -1, room)


@lean
def _break_line(room: Room, lexicon: Lexicon) -> None:
    """Does what a `br` does."""
    registers = room.registers
    row = room.blocks[registers[BLOCK]]
    end_word(room, lexicon.stops)
    if registers[IN_PRE] > 0:
        if row[NODE] >= 0:
            room.text[registers[OUT]] = 10
            registers[OUT] += 1
        return
    registers[BROKEN] += 1
    if registers[BROKEN] > 1:
        finish_block(room, lexicon)
    elif row[NODE] >= 0:
        row[BREAKS] += 1
        registers[PENDING] = NEWLINE


@lean_inlined
def _void(element: int, room: Room, lexicon: Lexicon) -> None:
    if element == _BR:
        _break_line(room, lexicon)
    elif element == _HR:
        finish_block(room, lexicon)
        open_node = room.registers[OPEN_NODE]
        if room.nodes[open_node, ELEMENT] == _P:
            close_to(int64(room.nodes[open_node, PARENT]), room)
    elif element == _IMG:
        room.blocks[room.registers[BLOCK], IMAGES] += 1


@lean_inlined
def _start(element: int, token: int, tokens: Tokens, room: Room, lexicon: Lexicon) -> None:
    """Does what a start tag does."""
    kind = lexicon.kinds[element]
    if kind == INLINE:
        _start_inline(element, token, tokens, room)
    elif kind == VOID:
        _void(element, room, lexicon)
    elif kind == DROPPED:
        foreign = element in (_SVG, _MATH)
        if not (foreign and tokens.flags[token] & SELF_CLOSING):
            room.registers[DROPPED_ELEMENT] = element
            room.registers[DROPPED_DEPTH] = 1
            room.registers[DROPPED_INNER] = 0
    elif kind == BLOCK_KIND and not _PAGE[element]:
        if is_out_of_place(element, room):
            return
        finish_block(room, lexicon)
        make_way(element, room)
        open_container(element, token, int64(tokens.hints[token]), tokens.words[token], room)


@lean_inlined
def _end(element: int, room: Room, lexicon: Lexicon) -> None:
    """Does what an end tag does."""
    kind = lexicon.kinds[element]
    if kind == INLINE:
        _end_inline(element, room)
    elif element == _BR:
        _break_line(room, lexicon)
    elif kind == BLOCK_KIND and not _PAGE[element]:
        node = container_to_end(element, room)
        if node > 0:
            finish_block(room, lexicon)
            close_to(int64(room.nodes[node, PARENT]), room)
        elif element == _P:  # makes an empty paragraph
            finish_block(room, lexicon)


@lean_inlined
def _leave_out(page: Bytes, token: int, tokens: Tokens, room: Room, lexicon: Lexicon) -> bool:
    """Says whether a token is left out with the element that it is in; notes where that ends."""
    dropped = room.registers[DROPPED_ELEMENT]
    if dropped == 0:
        return False
    if dropped == _HEAD:
        return _leave_out_of_head(page, token, tokens, room)
    kind, element = int64(tokens.kind[token]), int64(tokens.element[token])
    container = lexicon.kinds[element] == BLOCK_KIND and not _MAY_STAY_OPEN[element]
    container |= element == _FOREIGN_OBJECT
    if kind == START:
        return _leave_out_start(element, container, room)
    return kind != END or _leave_out_end(element, container, room)


@lean_inlined
def _leave_out_start(element: int, container: bool, room: Room) -> bool:  # noqa: FBT001 - a kernel
    registers = room.registers
    dropped, inner = registers[DROPPED_ELEMENT], registers[DROPPED_INNER]
    if dropped in (_SVG, _MATH) and inner == 0 and LEAVES_FOREIGN[element]:
        registers[DROPPED_ELEMENT] = 0
        return False
    registers[DROPPED_DEPTH] += element == dropped
    registers[DROPPED_INNER] += container
    return True


@lean_inlined
def _leave_out_end(element: int, container: bool, room: Room) -> bool:  # noqa: FBT001 - a kernel
    registers = room.registers
    if element == registers[DROPPED_ELEMENT]:
        registers[DROPPED_DEPTH] -= 1
        if registers[DROPPED_DEPTH] == 0:
            registers[DROPPED_ELEMENT] = 0
    elif container and registers[DROPPED_INNER] > 0:
        registers[DROPPED_INNER] -= 1
    elif container and container_to_end(element, room) > 0:
        registers[DROPPED_ELEMENT] = 0  # the end of something around it: it was never closed
        return False
    return True


@lean_inlined
def _leave_out_of_head(page: Bytes, token: int, tokens: Tokens, room: Room) -> bool:
    """Likewise of `head`, which ends with whatever cannot be in it."""
    kind, element = int64(tokens.kind[token]), int64(tokens.element[token])
    ends = False
    if kind == TEXT:
        for at in range(tokens.begin[token], tokens.end[token]):
            ends |= page[at] > 32
    elif kind == START:
        ends = not _IN_HEAD[element] and element != _HEAD and element != _HTML
    elif kind == END:
        ends = element in (_HEAD, _BODY, _HTML)
    if ends:
        room.registers[DROPPED_ELEMENT] = 0
    return not ends


@lean
def build_blocks(page: Bytes, tokens: Tokens, count: int, room: Room, lexicon: Lexicon) -> None:
    """Builds the containers and blocks of a page.

    Args:
        page: uint8[n], UTF-8.
        tokens: What `read_tokens` made of it.
        count: How many tokens there are.
        room: Gets containers and blocks; their numbers are in its registers.
        lexicon: What is known of elements and words.
    """
    _start_page(room)
    for token in range(count):
        if _leave_out(page, token, tokens, room, lexicon):
            continue
        kind, element = int64(tokens.kind[token]), int64(tokens.element[token])
        if kind == TEXT:
            if not is_sign(page, token, count, tokens, lexicon.signs):
                begin, end = int64(tokens.begin[token]), int64(tokens.end[token])
                add_text(page, begin, end, room, lexicon.stops)
        elif kind == START:
            _start(element, token, tokens, room, lexicon)
        elif kind == END:
            _end(element, room, lexicon)
    finish_block(room, lexicon)
    close_to(0, room)
    room.nodes[0, FINAL] = room.registers[NODES] - 1
