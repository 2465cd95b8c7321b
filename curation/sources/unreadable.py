"""How the readers tell, inside this package, that a record cannot be read, and why."""


class UnreadableError(Exception):
    """A record that has no readable text; becomes a `Record` with `error` set, never a crash.

    Args:
        code: Reason code, e.g. "truncated_record".
        detail: One line: what was found.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def shown(data: bytes, limit: int = 60) -> str:
    r"""Returns the start of some bytes as printable text on one line, for a record's detail.

    Examples:
        >>> shown(b"GET / HTTP/1.0\r\nHost: x", 14)
        "'GET / HTTP/1.0'..."
    """
    text = ascii(bytes(data[:limit]).decode("latin-1"))
    cut = len(data) > limit or len(text) > limit + 20
    return text[: limit + 20] + ("..." if cut else "")
