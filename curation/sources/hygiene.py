"""Characters that no text may hold further down: NUL, and halves of surrogate pairs."""

import re
from typing import Any

_BAD = re.compile("[\0\ud800-\udfff]")


def replace_bad(text: str) -> tuple[str, int]:
    r"""Returns a text with U+FFFD for each NUL and lone surrogate, and how many there were.

    Examples:
        >>> replace_bad("a\0b") == ("a\ufffdb", 1)
        True
    """
    return _BAD.subn("\ufffd", text)


def replace_bad_deep(value: Any) -> tuple[Any, int]:
    """Does the same for all strings of a JSON value, keys included."""
    if isinstance(value, str):
        return replace_bad(value)
    if isinstance(value, list):
        pairs = [replace_bad_deep(item) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        keys, values = replace_bad_deep(list(value)), replace_bad_deep(list(value.values()))
        return dict(zip(keys[0], values[0], strict=True)), keys[1] + values[1]
    return value, 0
