"""Numbers for people."""

import math


def number(value: float) -> str:
    """Returns a number for people: three digits, separators, words for infinity.

    Examples:
        >>> number(0.000123), number(1234567.0), number(math.inf)
        ('0.000123', '1,234,567', 'beyond any')
    """
    if math.isinf(value):
        return "beyond any"
    if math.isnan(value):
        return "not a number"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    rounded = f"{value:.3g}"
    if "e-" in rounded and abs(value) >= 1e-9:
        return f"{float(rounded):.12f}".rstrip("0")
    return rounded


def short(value: float) -> str:
    """Returns a count with a letter for its thousands.

    Examples:
        >>> short(1.23e9), short(20e9), short(512), short(3.6e5)
        ('1.23B', '20B', '512', '360k')
    """
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit * 0.9995:
            return f"{value / unit:.3g}{letter}"
    return number(value)
