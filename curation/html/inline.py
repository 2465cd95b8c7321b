"""The text of a block: character references read, white space collapsed, and characters counted.

White space collapses as in CSS (`white-space: normal`); in `pre` it stays. A no-break space is a
space like any other, as authors use it for the look; other spaces of Unicode stay what they are.
Characters that are not seen go: soft hyphen, zero-width space, byte order mark, NUL.
"""

import numpy as np
import numpy.typing as npt

from curation.html.names import (
    FNV_START,
    NUMBERS,
    NameTable,
    encoded,
    hash_step,
    look_up,
    name_table,
)
from curation.html.references import read_reference
from curation.html.room import (
    BEGIN,
    BLANK,
    BLOCK,
    BOLD,
    BROKEN,
    CAPITALS,
    CHARS,
    CLAUSES,
    COUNTS,
    DIGITS,
    IN_BOLD,
    IN_LINK,
    IN_PRE,
    LINKED,
    NO_WORD,
    NODE,
    NOTHING,
    OPEN_NODE,
    OUT,
    PENDING,
    PRE,
    SENTENCES,
    STOPS,
    WIDE,
    WORD,
    WORDS,
    Room,
)
from curation.html.tokens import Tokens
from curation.html.words import FREQUENT
from curation.text.jit import int64, lean, lean_inlined, read_only
from curation.text.unicode import SPACE, char_class, decode, encode

Bytes = npt.NDArray[np.uint8]

_LETTER, _CAPITAL, _DIGIT, _SENTENCE, _CLAUSE, _SIGN, _WIDE, _SPACE, _UNSEEN, _OTHER = range(10)
"""Classes of characters; all before _SPACE are seen, all before _SENTENCE belong to a word."""


def _ascii_class(code: int) -> int:
    char = chr(code)
    if code >= 128 or char == "&":
        return _OTHER
    if char == "\0":
        return _UNSEEN
    if char in " \t\n\f\r":
        return _SPACE
    if char.isalpha():
        return _CAPITAL if char.isupper() else _LETTER
    if char.isdigit():
        return _DIGIT
    return _SENTENCE if char in ".!?" else _CLAUSE if char in ",;:" else _SIGN


CLASSES = read_only(np.array([_ascii_class(code) for code in range(256)], np.uint8))
"""uint8[256]: class of each byte; those of which more has to be known are _OTHER."""

STOP_TABLE = name_table(encoded(dict.fromkeys(FREQUENT, 1)))
"""Hashes of frequent words: running text has many of them, menus have few."""

SIGN_TABLE = name_table(
    encoded(
        dict.fromkeys(
            ["#", "¶", "§", "🔗", "&para;", "&#182;", "&#xb6;", "&sect;", "&#167;", "&#128279;"], 1
        )
    )
)
"""Hashes of what stands behind a heading, in a link that is only there to be copied."""
_LONGEST_SIGN = 9
_A = NUMBERS["a"]


@lean_inlined
def is_sign(page: Bytes, token: int, count: int, tokens: Tokens, signs: NameTable) -> bool:
    """Says whether a text is all that a link holds, and names nothing but the place it is at."""
    begin, end = int64(tokens.begin[token]), int64(tokens.end[token])
    if end - begin > _LONGEST_SIGN or token == 0 or token + 1 == count:
        return False
    if tokens.element[token - 1] != _A or tokens.element[token + 1] != _A:
        return False
    key = FNV_START
    for at in range(begin, end):
        key = hash_step(key, page[at])
    return look_up(signs, key) >= 0


@lean_inlined
def end_word(room: Room, stops: NameTable) -> None:
    """Counts the word that the text is in."""
    registers = room.registers
    if registers[WORD] != NO_WORD:
        block = registers[BLOCK]
        room.blocks[block, WORDS] += 1
        room.blocks[block, STOPS] += look_up(stops, np.uint64(registers[WORD])) >= 0
        registers[WORD] = NO_WORD


@lean_inlined
def _begin_seen(room: Room) -> None:
    """Writes the white space that a character to be seen makes good, or begins the block."""
    registers = room.registers
    block = registers[BLOCK]
    if room.blocks[block, NODE] < 0:
        room.blocks[block, NODE] = registers[OPEN_NODE]
        room.blocks[block, PRE] = registers[IN_PRE] > 0
    elif registers[PENDING] != NOTHING:
        room.text[registers[OUT]] = 32 if registers[PENDING] == BLANK else 10
        registers[OUT] += 1
    registers[PENDING] = NOTHING
    registers[BROKEN] = 0


@lean_inlined
def _add_space(room: Room, byte: int) -> None:
    registers = room.registers
    if registers[IN_PRE] == 0:
        registers[PENDING] = max(registers[PENDING], BLANK)
        return
    block = registers[BLOCK]
    if byte == 10 and room.blocks[block, NODE] < 0:
        registers[OUT] = room.blocks[block, BEGIN]  # empty lines before the first; no mark is there
        return
    room.text[registers[OUT]] = byte
    registers[OUT] += 1


@lean_inlined
def _wide_class(code_point: int) -> int:
    """Returns the class of a character outside of ASCII."""
    if code_point == 0xA0:
        return _SPACE
    if code_point in (0xAD, 0x200B, 0xFEFF):
        return _UNSEEN
    if code_point in (0x3002, 0xFF01, 0xFF1F, 0x061F, 0x0964, 0x06D4, 0x203C, 0x2026):
        return _SENTENCE
    if code_point in (0x3001, 0xFF0C, 0xFF1A, 0xFF1B, 0x060C, 0x061B):
        return _CLAUSE
    if 0x2E80 <= code_point < 0xA000 or 0xAC00 <= code_point < 0xD7A4:
        return _WIDE if code_point > 0x3004 else _SIGN
    if 0x2010 <= code_point < 0x2070 or code_point in (0xAB, 0xBB, 0xB7):
        return _SIGN
    return _LETTER


@lean
def _add_char(room: Room, code_point: int, stops: NameTable) -> None:
    """Adds a character that is none of plain ASCII, or that a reference stands for."""
    registers = room.registers
    kind = int64(CLASSES[code_point]) if code_point < 128 else _wide_class(code_point)
    if code_point == 38:
        kind = _SIGN
    if kind == _UNSEEN:
        return
    blank = code_point > 127 and char_class(code_point) & SPACE > 0
    if kind >= _SENTENCE or blank:
        end_word(room, stops)
    if kind == _SPACE:
        _add_space(room, 32 if code_point > 127 else code_point)
        return
    if blank and room.blocks[registers[BLOCK], NODE] < 0:
        return  # no block begins with a space of any kind
    _begin_seen(room)
    registers[COUNTS + kind] += not blank
    begin = int64(registers[OUT])
    registers[OUT] = encode(code_point, room.text, begin)
    if kind < _SENTENCE and not blank:
        key = FNV_START if registers[WORD] == NO_WORD else np.uint64(registers[WORD])
        for at in range(begin, registers[OUT]):
            byte = room.text[at]
            key = hash_step(key, byte | 32 if byte < 128 else byte)
        registers[WORD] = int64(key)


@lean_inlined
def _add_run(page: Bytes, at: int, end: int, room: Room) -> int:
    """Adds characters as long as they are letters and digits of ASCII; returns where they end."""
    registers, text = room.registers, room.text
    begin, out, capitals, digits = at, int64(registers[OUT]), 0, 0
    key = FNV_START if registers[WORD] == NO_WORD else np.uint64(registers[WORD])
    while at < end and CLASSES[page[at]] < _SENTENCE:
        byte = page[at]
        text[out] = byte
        key = hash_step(key, byte | 32)  # leaves digits what they are
        capitals += 65 <= byte <= 90
        digits += byte < 65
        out += 1
        at += 1
    registers[OUT], registers[WORD] = out, int64(key)
    registers[COUNTS + _LETTER] += at - begin - capitals - digits
    registers[COUNTS + _CAPITAL] += capitals
    registers[COUNTS + _DIGIT] += digits
    return at


@lean_inlined
def _add_counts(room: Room) -> None:
    """Adds what was counted in a stretch of text to its block."""
    registers = room.registers
    row = room.blocks[registers[BLOCK]]
    counts = registers[COUNTS:]
    chars = 0
    for kind in range(_SPACE):
        chars += counts[kind]
    row[CHARS] += chars
    row[CAPITALS] += counts[_CAPITAL]
    row[DIGITS] += counts[_DIGIT]
    row[SENTENCES] += counts[_SENTENCE]
    row[CLAUSES] += counts[_CLAUSE]
    row[WIDE] += counts[_WIDE]
    if registers[IN_LINK] > 0:
        row[LINKED] += chars
    if registers[IN_BOLD] > 0:
        row[BOLD] += chars


@lean
def _add_rest(page: Bytes, at: int, end: int, room: Room, stops: NameTable) -> int:
    """Adds what is a reference, or no ASCII; returns what comes after it."""
    if page[at] != 38:
        code_point, after = decode(page, at, end)
        _add_char(room, code_point, stops)
        return after
    first, second, after = read_reference(page, at, end)
    if first < 0:
        _add_char(room, 38, stops)
        return at + 1
    _add_char(room, first, stops)
    if second >= 0:
        _add_char(room, second, stops)
    return after


@lean
def add_text(page: Bytes, begin: int, end: int, room: Room, stops: NameTable) -> None:
    """Adds a stretch of text to the open block.

    Args:
        page: uint8[n], UTF-8.
        begin: First byte of the text.
        end: Position after the last, at most n.
        room: The page so far.
        stops: Hashes of frequent words.
    """
    registers = room.registers
    for kind in range(_SPACE):
        registers[COUNTS + kind] = 0
    at = begin
    while at < end:
        byte = int64(page[at])
        kind = int64(CLASSES[byte])
        if kind < _SENTENCE:
            _begin_seen(room)
            at = _add_run(page, at, end, room)
        elif kind <= _SPACE:
            end_word(room, stops)
            if kind == _SPACE:
                _add_space(room, byte)
            else:
                _begin_seen(room)
                registers[COUNTS + kind] += 1
                room.text[registers[OUT]] = byte
                registers[OUT] += 1
            at += 1
        else:
            at = _add_rest(page, at, end, room, stops)
    _add_counts(room)
