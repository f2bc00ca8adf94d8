"""Local days of a time zone: the date of an instant, the instants of a date, anniversaries.

An instant is milliseconds since 1970 UTC and a date days since 1970-01-01, both without end. Before
1900 and after 2200 a zone keeps the offset that it has there.
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache

HOUR_MS = 3_600_000
DAY_MS = 86_400_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = (date(1900, 1, 1) - date(1970, 1, 1)).days * DAY_MS
_LAST_MS = (date(2200, 1, 1) - date(1970, 1, 1)).days * DAY_MS
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_CYCLE_YEARS = 400
_CYCLE_DAYS = 146_097  # the Gregorian calendar repeats after 400 years
_NOT_A_PLACE = frozenset({"localtime"})  # the machine's own zone is nobody's


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NOT_A_PLACE


@lru_cache(maxsize=1024)
def zone_named(name: str) -> zoneinfo.ZoneInfo | None:
    """Return the zone of the tz database that has this name, None for another text."""
    return zoneinfo.ZoneInfo(name) if name in _zone_names() else None


def offset_ms(instant_ms: int, zone: zoneinfo.ZoneInfo) -> int:
    """Return how far local time is ahead of UTC at an instant."""
    within = min(max(instant_ms, _FIRST_MS), _LAST_MS)
    offset = (_EPOCH + timedelta(milliseconds=within)).astimezone(zone).utcoffset()
    assert offset is not None, "an aware time has an offset"  # noqa: S101
    return offset // timedelta(milliseconds=1)


def local_date(instant_ms: int, zone: zoneinfo.ZoneInfo) -> int:
    """Return the local date of an instant.

    >>> paris = zone_named("Europe/Paris")
    >>> [local_date(hours * HOUR_MS, paris) for hours in (-2, -1, 22, 23)]
    [-1, 0, 0, 1]
    """
    return (instant_ms + offset_ms(instant_ms, zone)) // DAY_MS


def first_ms(day: int, zone: zoneinfo.ZoneInfo) -> int:
    """Return the first instant whose local date is `day`, or later where no instant has it."""
    return min(start for start, _, found in _spans(day, zone) if found >= day)


def day_edges(day: int, zone: zoneinfo.ZoneInfo) -> list[int]:
    """Return the instants at which the local date becomes or ceases to be `day`.

    There are two, four where clocks go back over midnight, and none for a date that was left out.
    """
    edges: list[int] = []
    for start_ms, end_ms, found in _spans(day, zone):
        if found == day:
            edges += [start_ms, end_ms]
    return [edge for edge in edges if edges.count(edge) == 1]


@lru_cache(maxsize=4096)
def _spans(day: int, zone: zoneinfo.ZoneInfo) -> list[tuple[int, int, int]]:
    """Return pieces of time around a date, in order, each of one local date: start, end, date."""
    begin_ms, end_ms = (day - 2) * DAY_MS, (day + 3) * DAY_MS
    spans: list[tuple[int, int, int]] = []
    for start_ms, stop_ms in _even(begin_ms, end_ms, zone):
        offset = offset_ms(start_ms, zone)
        at_ms = start_ms
        while at_ms < stop_ms:
            found = (at_ms + offset) // DAY_MS
            next_ms = min(stop_ms, (found + 1) * DAY_MS - offset)
            spans.append((at_ms, next_ms, found))
            at_ms = next_ms
    return spans


def _even(begin_ms: int, end_ms: int, zone: zoneinfo.ZoneInfo) -> list[tuple[int, int]]:
    """Return pieces of a stretch of time in each of which the offset is one."""
    pieces: list[tuple[int, int]] = []
    start_ms = begin_ms
    for at_ms in range(begin_ms, end_ms, HOUR_MS):
        until_ms = min(at_ms + HOUR_MS, end_ms)
        if offset_ms(until_ms, zone) != offset_ms(at_ms, zone):
            changed_ms = _change_ms(at_ms, until_ms, zone)
            pieces.append((start_ms, changed_ms))
            start_ms = changed_ms
    return [*pieces, (start_ms, end_ms)]


def _change_ms(before_ms: int, after_ms: int, zone: zoneinfo.ZoneInfo) -> int:
    """Return the first instant of the offset at `after_ms`, which is another one before."""
    offset = offset_ms(after_ms, zone)
    while after_ms - before_ms > 1:
        middle_ms = (before_ms + after_ms) // 2
        if offset_ms(middle_ms, zone) == offset:
            after_ms = middle_ms
        else:
            before_ms = middle_ms
    return after_ms


def year_month_day(day: int) -> tuple[int, int, int]:
    """Return the year, month and day of a date, of any year.

    >>> year_month_day(0), year_month_day(-719_528)
    ((1970, 1, 1), (0, 1, 1))
    """
    cycle, rest = divmod(day + _EPOCH_ORDINAL - 1, _CYCLE_DAYS)
    found = date.fromordinal(rest + 1)
    return found.year + cycle * _CYCLE_YEARS, found.month, found.day


def day_of(year: int, month: int, day: int) -> int:
    """Return the date of a year, month and day; raises ValueError where there is none such."""
    cycle, rest = divmod(year - 1, _CYCLE_YEARS)
    return date(rest + 1, month, day).toordinal() - _EPOCH_ORDINAL + cycle * _CYCLE_DAYS


def anniversary_in(born: int, year: int) -> int | None:
    """Return the date of that year on which `born` comes round, None in its own year.

    29 February comes round on 28 February of years without one.
    """
    own_year, month, day = year_month_day(born)
    if year == own_year:
        return None
    try:
        return day_of(year, month, day)
    except ValueError:
        return day_of(year, 2, 28)
