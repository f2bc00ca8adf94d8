"""The hour of the day in which a person opens and clicks, and when it comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

ENGAGEMENT_MS = 90 * 24 * 60 * 60 * 1000
"""How far back opens and clicks count."""

_DAYS_AHEAD = 4
"""A clock change may skip an hour on one day; none skips it on several in a row."""


def zone_of(name: str, default: str) -> ZoneInfo:
    """Return the IANA zone of this name, the default one where there is none.

    >>> zone_of("Europe/Paris", "UTC").key, zone_of("Nowhere", "UTC").key
    ('Europe/Paris', 'UTC')
    """
    try:
        return ZoneInfo(name) if name else ZoneInfo(default)
    except (KeyError, OSError, ValueError):
        return ZoneInfo(default)


def best_hour(instants_ms: Iterable[int], zone: tzinfo) -> int | None:
    """Return the local hour with the most instants, of equal ones the earlier; None for none."""
    counts = Counter(_local(at_ms, zone).hour for at_ms in instants_ms)
    return min(counts, key=lambda hour: (-counts[hour], hour)) if counts else None


def optimal_ms(at_ms: int, instants_ms: Iterable[int], zone: tzinfo) -> int:
    """Return when to send what is due at `at_ms`: in the person's best hour, else at once.

    That is `at_ms` itself where it lies in that hour, else the next beginning of that hour.
    `instants_ms` are opens and clicks; those out of the 90 days up to `at_ms` do not count.

    >>> hour = 60 * 60 * 1000
    >>> optimal_ms(9 * hour + 1, [9 * hour], UTC) - 9 * hour, optimal_ms(11 * hour, [], UTC) // hour
    (1, 11)
    >>> optimal_ms(11 * hour, [9 * hour], UTC) // hour
    33
    """
    counted = (one for one in instants_ms if at_ms - ENGAGEMENT_MS < one <= at_ms)
    hour = best_hour(counted, zone)
    local = _local(at_ms, zone)
    if hour is None or local.hour == hour:
        return at_ms
    for days in range(_DAYS_AHEAD):
        day = local.date() + timedelta(days=days)
        begin = datetime(day.year, day.month, day.day, hour, tzinfo=zone)
        begin_ms = int(begin.timestamp()) * 1000
        # Where the clock skips that hour, what was built is another one.
        if begin_ms > at_ms and _local(begin_ms, zone).hour == hour:
            return begin_ms
    return at_ms


def _local(at_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
