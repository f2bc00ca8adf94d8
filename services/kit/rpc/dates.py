"""Days of the calendar: `datetime.date` inside, `Date` in messages."""

from __future__ import annotations

from datetime import date

from coterie.type.v1 import value_pb2


def date_message(day: date) -> value_pb2.Date:
    """Return a day as a message.

    >>> date_of(date_message(date(2024, 2, 29)))
    datetime.date(2024, 2, 29)
    """
    return value_pb2.Date(year=day.year, month=day.month, day=day.day)


def date_of(message: value_pb2.Date) -> date:
    """Return the day of a message; raises ValueError where there is no such day."""
    return date(message.year, message.month, message.day)
