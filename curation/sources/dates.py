"""Points in time as sources write them, as UTC."""

import re
from datetime import UTC, datetime

_PARTIAL = {4: "-01-01", 7: "-01"}
_MILLISECONDS = 10**11
"""Larger numbers are milliseconds: as seconds they would lie beyond the year 5000."""


def parse_time(value: object) -> datetime | None:
    """Returns a point in time; None where the value is none.

    Accepts ISO 8601 (also only a year, or year and month; without a zone: UTC), the 12 or more
    digits of ARC files, and seconds or milliseconds since 1970 as numbers.

    Examples:
        >>> parse_time("2008-04-30T20:48:25Z").isoformat()
        '2008-04-30T20:48:25+00:00'
        >>> parse_time("20080430204825").isoformat()
        '2008-04-30T20:48:25+00:00'
        >>> parse_time("yesterday") is None
        True
    """
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            seconds = value / 1000 if abs(value) > _MILLISECONDS else value
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, datetime):
            return _utc(value)
        return _parse_text(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _parse_text(text: str) -> datetime:
    if re.fullmatch(r"[0-9]{12,20}", text):
        return datetime.strptime(text[:14].ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return _utc(datetime.fromisoformat(text + _PARTIAL.get(len(text), "")))


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)
