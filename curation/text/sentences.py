r"""How many sentences a line has, from one walk over UTF-8 bytes, without a model.

Ours; close to the rule-based splitter of spaCy, which datatrove counts with, and to the Punkt model
that C4 was made with (docs/conformance-lines.md says how close). The meaning:

- A line with anything visible is at least one sentence. Its *chunks* lie between white space.
- A chunk *ends* a sentence if there is an end mark in what closes it, that is in its last run of
  punctuation: `!`, `?`, their kin of other scripts, or a full stop. A full stop counts behind a
  digit, a lower-case letter or one without case, a sign, or two upper-case letters. It does not
  count in an ellipsis (`..` and more), behind a single letter (`J.`), or in an abbreviation.
- The next chunk with anything else than punctuation starts a sentence.
- A full stop between a lower-case and an upper-case letter ends one inside a chunk ("end.Next"),
  unless the chunk has `://`.

Abbreviations are those of English, with their case: titles, months, states, companies.
"""

import numpy as np
import numpy.typing as npt

from curation.text.chars import char_at, char_before, class_of, skip_space, skip_word
from curation.text.jit import int64, kernel, lean
from curation.text.unicode import ALPHA, DIGIT, SPACE, UPPER

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

ABBREVIATIONS = """
    Mr. Mrs. Ms. Messrs. Dr. Prof. St. Mt. Adm. Gen. Gov. Rep. Rev. Sen. Jr. Co. co. Corp. Inc.
    Ltd. Bros. a.m. p.m. e.g. E.g. E.G. i.e. I.e. I.E. vs. v.s. Ph.D. D.C. N.C. N.D. N.H. N.J. N.M.
    N.Y. S.C. Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Ak. Ala. Ariz. Ark.
    Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. Mass. Md. Mich. Minn.
    Miss. Mo. Mont. Neb. Nebr. Nev. Okla. Ore. Pa. Tenn. Va. Wash. Wis.
""".split()  # noqa: SIM905 - as a list it takes a page
"""What has a full stop that ends no sentence; at most 7 bytes each."""

END_MARKS = (
    "!?\u061f\u06d4\u0964\u0965\u1362\u203c\u203d\u2047\u2048\u2049\u3002\uff01\uff0e\uff1f\uff61"
)
"""End marks besides the full stop."""

# Punctuation (the categories P*) that stands at words; ASCII first, ends of ranges in pairs.
_MARK_RANGES = """
    0021-0023 0025-002a 002c-002f 003a-003b 003f-0040 005b-005d 005f 007b 007d 00a1 00a7 00ab
    00b6-00b7 00bb 00bf 060c 061b 061f 06d4 0964-0965 1362 2010-2027 2030-2043 2045-2051
    2053-205e 2e00-2e2e 3001-3003 3008-3011 3014-301f 3030 ff01-ff03 ff05-ff0a ff0c-ff0f
    ff1a-ff1b ff1f-ff20 ff3b-ff3d ff3f ff5b ff5d ff5f-ff65
"""
_SPANS = [
    (int(first, 16), int(last or first, 16))
    for first, _, last in (item.partition("-") for item in _MARK_RANGES.split())
]
_MARKS = np.array(_SPANS, np.int64).ravel()
_ENDS = np.array([ord(char) for char in END_MARKS], np.int64)
_LONGEST = max(map(len, ABBREVIATIONS))  # they are packed into the bytes of one number
_STOP, _BLANK, _DELETE = 0x2E, 0x20, 0x7F
_NO_MARK, _MARK, _END = range(3)


def _ascii_kinds() -> Bytes:
    kinds = np.zeros(128, np.uint8)
    for low, high in _SPANS:
        kinds[low : high + 1] = _MARK
    kinds[[ord("!"), ord("?")]] = _END
    kinds[_STOP] = _MARK
    return kinds


_ASCII_KINDS = _ascii_kinds()
# The bytes that an end mark can start with; all others are passed over.
_WATCHED: npt.NDArray[np.bool_] = np.zeros(256, np.bool_)
_WATCHED[[mark.encode()[0] for mark in "." + END_MARKS]] = True


def _packed(word: bytes) -> int:
    """Returns up to eight bytes as one number, the first lowest; never that of other bytes."""
    return int.from_bytes(word, "little")


_PACKED = np.array(sorted(_packed(word.encode()) for word in ABBREVIATIONS), np.int64)


@lean
def sentences_in(data: Bytes, at: int, end: int) -> int:
    """Counts the sentences between two positions (for other kernels).

    Args:
        data: uint8, UTF-8; what is malformed counts as U+FFFD, as `bytes.decode` replaces it.
        at: Where the text starts.
        end: Where it ends.

    Returns:
        0 where nothing is visible, else 1 or more.
    """
    at = skip_space(data, at, end)
    if at >= end:
        return 0
    count, floor = 1, at
    while True:
        while at < end and not _WATCHED[data[at]]:
            at += 1
        if at >= end:
            return count
        code, after = char_at(data, at, end)
        if code >= 0x80 and _kind(code) != _END:
            at = after
            continue
        start = _chunk_start(data, floor, at)
        at = skip_word(data, after, end)
        if _has_stop(data, start + 1, at - 1):
            count += _ends_inside(data, start, at)
        if ends_sentence(data, start, at):
            at = _next_content(data, at, end)
            count += at < end
        floor = at


@lean
def _chunk_start(data: Bytes, floor: int, at: int) -> int:
    """Returns where the chunk of the character at `at` starts, not before `floor`."""
    while at > floor:
        if _BLANK < data[at - 1] < _DELETE:
            at -= 1
            continue
        before = char_before(data, floor, at)
        if class_of(char_at(data, before, at)[0]) & SPACE:
            break
        at = before
    return at


@lean
def _next_content(data: Bytes, at: int, end: int) -> int:
    """Returns where the next chunk with anything else than punctuation starts, or `end`."""
    start = at
    while at < end:
        code, after = char_at(data, at, end)
        if class_of(code) & SPACE:
            start = after
        elif _kind(code) == _NO_MARK:
            return start
        at = after
    return end


@lean
def _kind(code: int) -> int:
    """Returns whether a code point is an end mark, other punctuation, or neither."""
    if code < 0x80:
        return int64(_ASCII_KINDS[code])
    for mark in _ENDS:
        if code == mark:
            return _END
    for k in range(0, len(_MARKS), 2):
        if _MARKS[k] <= code <= _MARKS[k + 1]:
            return _MARK
    return _NO_MARK


@lean
def _has_stop(data: Bytes, at: int, end: int) -> bool:
    while at < end and data[at] != _STOP:
        at += 1
    return at < end


@lean
def _ends_inside(data: Bytes, at: int, end: int) -> int:
    """Counts the full stops between a lower-case and an upper-case letter."""
    count = before = earlier = int64(0)  # a literal would compile the callees twice
    while at < end:
        code, after = char_at(data, at, end)
        bits = class_of(code)
        if code == 0x2F and before == 0x2F and earlier == 0x3A:
            return 0
        if before == _STOP and bits & UPPER:
            lower = class_of(earlier)
            count += (lower & ALPHA) > 0 and not lower & UPPER
        earlier, before, at = before, code, after
    return count


@lean
def ends_sentence(data: Bytes, start: int, end: int) -> bool:
    """Says whether a chunk closes with an end mark."""
    found = False
    at = end
    while at > start:
        last = char_before(data, start, at)
        code = char_at(data, last, at)[0]
        if code == _STOP:
            if last > start and data[last - 1] == _STOP:
                while last > start and data[last - 1] == _STOP:
                    last -= 1
            elif _stop_counts(data, start, at):
                found = True
            else:
                break
        elif _kind(code) == _NO_MARK:
            break
        else:
            found |= _kind(code) == _END
        at = last
    return found


@lean
def _stop_counts(data: Bytes, start: int, at: int) -> bool:
    """Says whether the full stop that ends at `at` is an end mark."""
    if at - 1 == start:
        return True
    body = _open(data, start, at)
    if _is_abbreviation(data, body, at):
        return False
    last = char_before(data, start, at - 1)
    code = char_at(data, last, at - 1)[0]
    bits = class_of(code)
    if not bits & ALPHA:
        return (bits & DIGIT) > 0 or code in (0x25, 0x2B, 0x3E) or _kind(code) != _NO_MARK
    if last <= body:
        return False  # a single letter
    if not bits & UPPER:
        return True
    return (class_of(char_at(data, char_before(data, start, last), last)[0]) & UPPER) > 0


@lean
def _open(data: Bytes, at: int, end: int) -> int:
    """Returns where a chunk starts behind its opening punctuation."""
    while at < end:
        code, after = char_at(data, at, end)
        if _kind(code) == _NO_MARK:
            break
        at = after
    return at


@lean
def _is_abbreviation(data: Bytes, start: int, end: int) -> bool:
    if end - start > _LONGEST:
        return False
    packed = 0
    for k in range(end - start):
        packed |= int64(data[start + k]) << (8 * k)
    at = np.searchsorted(_PACKED, packed)
    return bool(at < len(_PACKED) and _PACKED[at] == packed)


@kernel
def count_sentences(offsets: Ints, data: Bytes) -> Ints:
    """Counts the sentences of n lines.

    Args:
        offsets: int64[n + 1]; line k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.

    Returns:
        int64[n].
    """
    counts = np.empty(len(offsets) - 1, np.int64)
    for row in range(len(counts)):
        counts[row] = sentences_in(data, offsets[row], offsets[row + 1])
    return counts


_PLAIN_MARKS = "." + "".join(chr(code) for low, high in _SPANS for code in range(low, high + 1))


def plain_sentences(line: str) -> int:
    """Counts the sentences of a line in plain Python: the meaning of the kernels.

    Examples:
        >>> plain_sentences('Mr. Hill came at 5 p.m. and left... He said: "Why?" Nobody knew.')
        2
    """
    chunks = line.split()
    ends = [plain_ends(chunk) for chunk in chunks]
    count, pending = min(1, len(chunks)), False
    for chunk, (inside, closing) in zip(chunks, ends, strict=True):
        if pending and chunk.strip(_PLAIN_MARKS):
            count += 1
            pending = False
        count += inside
        pending |= closing
    return count


def plain_ends(chunk: str) -> tuple[int, bool]:
    """Returns how many sentences end inside a chunk, and whether one ends where it does."""
    inside = 0 if "://" in chunk else sum(map(_is_inside, chunk, chunk[1:], chunk[2:]))
    closing = len(chunk.rstrip(_PLAIN_MARKS))
    at = len(chunk)
    found = False
    while at > closing:
        if chunk[at - 1] != ".":
            found |= chunk[at - 1] in END_MARKS
            at -= 1
        elif chunk[:at].endswith(".."):
            at = len(chunk[:at].rstrip("."))
        elif _plain_stop_counts(chunk[:at]):
            found = True
            at -= 1
        else:
            break
    return inside, found


def _is_inside(before: str, stop: str, after: str) -> bool:
    return stop == "." and before.isalpha() and not before.isupper() and after.isupper()


def _plain_stop_counts(chunk: str) -> bool:
    if chunk == ".":
        return True
    body = chunk.lstrip(_PLAIN_MARKS)
    if body in ABBREVIATIONS:
        return False
    last = chunk[-2]
    if not last.isalpha():
        return last.isdigit() or last in "%+>" or last in _PLAIN_MARKS
    if len(body) == 2:
        return False
    return not last.isupper() or chunk[-3].isupper()
