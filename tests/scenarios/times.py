"""Instants and durations as the vocabulary writes them, in milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant_ms(text: str) -> int:
    """Return the instant in milliseconds UTC; raises ValueError where it has no offset.

    >>> instant_ms("1970-01-01T01:00:01+01:00")
    1000
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"an instant needs an offset, found {text!r}")
    return (time - _EPOCH) // timedelta(milliseconds=1)


def duration_ms(text: str) -> int:
    """Return the elapsed time in milliseconds: a day is 24 hours; raises ValueError.

    >>> duration_ms("P1DT2H")
    93600000
    """
    found = _DURATION.fullmatch(text)
    if found is None or text.endswith(("P", "T")):
        raise ValueError(f"expected a duration in days to seconds as in P1DT2H, found {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND


def shown(time_ms: int) -> str:
    """Return the instant for people.

    >>> shown(1000)
    '1970-01-01T00:00:01Z'
    """
    time = _EPOCH + timedelta(milliseconds=time_ms)
    precision = "milliseconds" if time_ms % SECOND else "seconds"
    return time.isoformat(timespec=precision).replace("+00:00", "Z")
