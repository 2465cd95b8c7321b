r"""Texts without what does not matter: the words in lower case, with one space between them.

Two texts that differ in case, punctuation or white space alone become the same bytes. Words are the
runs of `\w` of the lower-cased text, as in `shingles`. A text without a word stays as it is.
"""

import re

import numpy as np
import numpy.typing as npt

from curation.text.jit import kernel
from curation.text.shingles import lower_words, make_workspace, plain_tokens

_ZERO, _NINE = 0x30, 0x39


@kernel
def fold_words(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    ignore_digits: bool,  # noqa: FBT001 - numba passes arguments by position
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Returns n texts reduced to their words.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        ignore_digits: Write 0 for each of the digits 0 to 9.

    Returns:
        The same as the first two arguments, of the reduced texts: at most half as long again.
    """
    room = make_workspace(offsets)
    size = offsets[-1] - offsets[0]
    folded = np.empty(size + size // 2 + 16, np.uint8)
    starts = np.zeros(len(offsets), np.int64)
    for row in range(len(offsets) - 1):
        text = data[offsets[row] : offsets[row + 1]]
        words = lower_words(text, room.words, room.starts)
        source = text if words == 0 else room.words[: room.starts[words] - 1]
        at = starts[row]
        for byte in source:
            digit = ignore_digits and words > 0 and _ZERO <= byte <= _NINE
            folded[at] = _ZERO if digit else byte
            at += 1
        starts[row + 1] = at
    return starts, folded[: starts[-1]].copy()


def plain_fold(text: str, *, ignore_digits: bool) -> str:
    """Returns one text reduced to its words: what the kernel means.

    Examples:
        >>> plain_fold("The  END, of 1999!", ignore_digits=True)
        'the end of 0000'
    """
    words = plain_tokens(text)
    if not words:
        return text
    folded = " ".join(words)
    return re.sub("[0-9]", "0", folded) if ignore_digits else folded
