"""Steps from character to character, compiled once: for kernels that take them now and then.

`unicode.decode` is inlined wherever it stands, which is right once per character of a text, and
costs a tenth of a second of compilation at each place.
"""

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, kernel, lean, lean_inlined
from curation.text.stop_words import ASCII_CLASSES
from curation.text.unicode import SPACE, char_class, decode

Bytes = npt.NDArray[np.uint8]


def code_points(ranges: str) -> npt.NDArray[np.int64]:
    """Returns the code points of ranges in hexadecimal digits, ascending.

    Examples:
        >>> code_points("0041-0043 00e9")
        array([ 65,  66,  67, 233])
    """
    found = []
    for item in ranges.split():
        first, _, last = item.partition("-")
        found.append(np.arange(int(first, 16), int(last or first, 16) + 1))
    return np.sort(np.concatenate(found))


@lean
def char_at(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Returns the character at `at`, and where the next one is; see `unicode.decode`."""
    return decode(data, at, end)


@lean
def class_of(code_point: int) -> int:
    """Returns the class bits of a code point; see `unicode.char_class`."""
    return char_class(code_point)


@lean_inlined
def class_at(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Returns the class bits of the character at `at`, and where the next one is."""
    if data[at] < 0x80:
        return int64(ASCII_CLASSES[data[at]]), at + 1
    code, after = char_at(data, at, end)
    return class_of(code), after


@lean
def char_before(data: Bytes, start: int, at: int) -> int:
    """Returns where the character that ends at `at` starts; `start` is less than `at`."""
    back = at - 1
    while back > start and at - back < 4 and (data[back] & 0xC0) == 0x80:
        back -= 1
    # What is malformed is one character for each of its portions.
    after = char_at(data, back, at)[1]
    while after < at:
        back = after
        after = char_at(data, back, at)[1]
    return back


@lean
def skip_space(data: Bytes, at: int, end: int) -> int:
    """Returns where the white space that starts at `at` ends; `at` where there is none."""
    while at < end:
        code, after = char_at(data, at, end)
        if not class_of(code) & SPACE:
            break
        at = after
    return at


@lean
def space_start(data: Bytes, start: int, at: int) -> int:
    """Returns where the white space that ends at `at` starts; `at` where there is none."""
    while at > start:
        before = char_before(data, start, at)
        if not class_of(char_at(data, before, at)[0]) & SPACE:
            break
        at = before
    return at


@lean
def skip_word(data: Bytes, at: int, end: int) -> int:
    """Returns where the run of characters that are no white space ends."""
    while at < end:
        if 0x20 < data[at] < 0x7F:
            at += 1
            continue
        code, after = char_at(data, at, end)
        if class_of(code) & SPACE:
            break
        at = after
    return at


@lean
def strip_in_place(data: Bytes, first: int, end: int) -> int:
    """Removes the white space at both ends of a slice, moving what is left; returns its end."""
    start = skip_space(data, first, end)
    end = space_start(data, start, end)
    if start > first:
        for k in range(end - start):
            data[first + k] = data[start + k]
    return first + end - start


@lean
def count_words(data: Bytes, at: int, end: int) -> int:
    """Counts the runs of characters between white space, as `str.split` cuts."""
    count = 0
    inside = False
    while at < end:
        byte = data[at]
        if byte < 0x80:
            space = byte == 0x20 or 0x09 <= byte <= 0x0D or 0x1C <= byte <= 0x1F
            at += 1
        else:
            code, at = char_at(data, at, end)
            space = (class_of(code) & SPACE) > 0
        count += not space and not inside
        inside = not space
    return count


@lean
def count_chars(data: Bytes, at: int, end: int) -> int:
    """Counts the characters of well-formed UTF-8: the bytes that continue none."""
    count = 0
    for k in range(at, end):
        count += (data[k] & 0xC0) != 0x80
    return count


@kernel
def count_long_lines(
    offsets: npt.NDArray[np.int64], data: Bytes, least: int
) -> npt.NDArray[np.int64]:
    """Counts the lines (ended by U+000A) of n texts that have at least so many characters.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        least: Fewest characters of a line that counts, 1 or more.

    Returns:
        int64[n].
    """
    counts = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(counts)):
        chars = 0
        for at in range(offsets[row], offsets[row + 1]):
            if data[at] == 0x0A:
                counts[row] += chars >= least
                chars = 0
            else:
                chars += (data[at] & 0xC0) != 0x80
        counts[row] += chars >= least
    return counts


@lean
def copied(data: Bytes, at: int, end: int, out: Bytes, to: int) -> int:
    """Copies `data[at:end]` to `out` from `to` on; returns where the copy ends."""
    for k in range(at, end):
        out[to] = data[k]
        to += 1
    return to
