"""Constants as segcore counts them: numbers in millionths, times and durations in milliseconds."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta

from segcore.rule import MICRO, NUMBER_LIMIT

WINDOW_MAX_MS = 3_653 * 86_400_000
"""Ten years: what rows are kept for; what is to count for ever has no window."""

SPAN_MAX_MS = 36_525 * 86_400_000
"""A hundred years, for ages and shifted times: far from where milliseconds overflow."""

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_STRETCH = re.compile(r"-?(?:\d{1,15}(?:d|h|ms|m|s))+", re.ASCII)
_PART = re.compile(r"(\d+)(d|h|ms|m|s)", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:\d\d)", re.ASCII
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)


def micro(number: float) -> int:
    """Return a number in millionths, rounded half to even in double arithmetic, as data are.

    Raises ValueError beyond `NUMBER_LIMIT`.

    >>> micro(0.0000025)
    2
    """
    if not math.isfinite(number) or abs(number) > NUMBER_LIMIT:
        raise ValueError(f"expected a number of at most {NUMBER_LIMIT:,} either way")
    return number * MICRO if isinstance(number, int) else round(number * MICRO)


def duration_ms(text: str) -> int:
    """Return the milliseconds of `72h`, `30d`, `1h30m`; raises ValueError for anything else.

    >>> duration_ms("1h30m")
    5400000
    """
    if not _STRETCH.fullmatch(text):
        raise ValueError('expected a duration such as "30d", "72h" or "1h30m"')
    length_ms = sum(int(n) * _UNITS_MS[unit] for n, unit in _PART.findall(text))
    return -length_ms if text.startswith("-") else length_ms


def bounded_span(length_ms: int) -> int:
    """Return a duration as it is; raises ValueError for one of more than a hundred years."""
    if abs(length_ms) > SPAN_MAX_MS:
        raise ValueError("expected a duration of at most a hundred years")
    return length_ms


def date_days(text: str) -> int:
    """Return a day such as `2026-03-01` as days since 1970; raises ValueError for anything else.

    >>> date_days("1970-01-31")
    30
    """
    if not _DAY.fullmatch(text):
        raise ValueError('expected a day such as "2026-03-01"')
    try:
        return (date.fromisoformat(text) - _EPOCH_DAY).days
    except ValueError:
        raise ValueError("expected a day that there is") from None


def timestamp_ms(text: str) -> int:
    """Return an instant such as `2026-03-01T09:30:00Z`; raises ValueError for anything else.

    >>> timestamp_ms("1970-01-01T01:00:00.250+01:00")
    250
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError('expected an instant such as "2026-03-01T09:30:00Z"')
    day, clock, fraction, zone = found.groups()
    nanos = (fraction or "0").ljust(9, "0")
    if nanos[3:].strip("0"):
        raise ValueError("expected an instant in whole milliseconds, as times are kept")
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone.replace('z', 'Z')}")
    except ValueError:
        raise ValueError("expected a day and time that there are") from None
    return (whole - _EPOCH) // timedelta(milliseconds=1) + int(nanos[:3])
