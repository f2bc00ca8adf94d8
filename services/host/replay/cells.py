"""Text cells to values. No error repeats a value: it may be personal, and errors are counted."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from segcore.rule import NUMBER_LIMIT
from services.host.replay.mapping import Time, TimeFormat

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
FIRST_MS = (dt.datetime.min.replace(tzinfo=dt.UTC) - EPOCH) // MILLISECOND
LAST_MS = (dt.datetime.max.replace(tzinfo=dt.UTC) - EPOCH) // MILLISECOND
"""The years 1 to 9999. A number beyond them is mostly one of milliseconds, read as seconds."""
FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
DIGEST_BYTES = 16
"""128 bits: that two of a billion rows are alike by chance is less likely than a wrong disk."""
PRICE_DECIMALS = 6
CELL_END = "\x1f"
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class RowError(Exception):
    """A row, or the rows of a group, cannot be an event. Never repeats a value."""


def number(cell: str, column: str) -> float:
    """Return the number; raises RowError for anything else and for one beyond the limit.

    >>> number("12.50", "price")
    12.5
    """
    try:
        found = float(cell)
    except ValueError:
        raise RowError(f"{column} is no number") from None
    if not -NUMBER_LIMIT <= found <= NUMBER_LIMIT:
        raise RowError(f"{column} is not between -{NUMBER_LIMIT} and {NUMBER_LIMIT}")
    return found


def flag(cell: str, column: str) -> bool:
    """Return true or false; raises RowError for what is neither."""
    found = FLAGS.get(cell.lower())
    if found is None:
        raise RowError(f"{column} is neither true nor false")
    return found


def day(cell: str, column: str) -> dt.date:
    """Return a day of the calendar; raises RowError for anything else.

    >>> day("2024-02-29", "born")
    datetime.date(2024, 2, 29)
    """
    try:
        if DAY.fullmatch(cell):
            return dt.date.fromisoformat(cell)
    except ValueError:
        pass
    raise RowError(f"{column} is no day such as 2024-02-29")


def time_reader(time: Time) -> Callable[[str], int]:
    """Return a function from a cell to milliseconds UTC; that raises ValueError or OverflowError.

    An hour that a zone has twice is taken as the first one.
    """
    match time.format:
        case TimeFormat.EPOCH_SECONDS:
            return lambda cell: _since_epoch(float(cell) * 1000)
        case TimeFormat.EPOCH_MILLISECONDS:
            return lambda cell: _since_epoch(float(cell))
        case TimeFormat.ISO:
            return lambda cell: _milliseconds(dt.datetime.fromisoformat(cell), time.zone)
        case pattern:
            return lambda cell: _milliseconds(_parsed(cell, pattern), time.zone)


def _since_epoch(milliseconds: float) -> int:
    if not FIRST_MS <= milliseconds <= LAST_MS:
        raise ValueError("expected an instant of the years 1 to 9999, found another")
    return round(milliseconds)


def _parsed(cell: str, pattern: str) -> dt.datetime:
    return dt.datetime.strptime(cell, pattern)  # noqa: DTZ007 - the zone is the mapping's, put on next


def _milliseconds(time: dt.datetime, zone: ZoneInfo) -> int:
    known = time if time.tzinfo else time.replace(tzinfo=zone)
    return (known - EPOCH) // MILLISECOND


def digest(cells: Sequence[str]) -> str:
    """Return a hash of the cells in hex: the same for the same cells, everywhere and for ever."""
    content = CELL_END.join(cells).encode()
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def exact_sum(amounts: Sequence[float]) -> float:
    """Return the sum as if it were taken in decimals.

    >>> exact_sum([0.1] * 10)
    1.0
    """
    return round(math.fsum(amounts), PRICE_DECIMALS)


def unit_price(amount: float, quantity: float) -> tuple[float, float]:
    """Return quantity and price of one for a line of this amount.

    A line of nothing that has an amount is taken as one of something, so that no money is lost.

    >>> unit_price(10.0, 3.0), unit_price(2.5, 0.0), unit_price(0.0, 0.0)
    ((3.0, 3.333333), (1.0, 2.5), (0.0, 0.0))
    """
    if quantity:
        return quantity, round(amount / quantity, PRICE_DECIMALS)
    return (1.0, amount) if amount else (0.0, 0.0)
