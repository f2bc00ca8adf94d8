"""Values of a rule as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from segcore.rule import MICRO, Kind
from segcore.scalar import Value

MISSING = "missing"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def show_value(value: Value, kind: Kind | None) -> str:  # noqa: PLR0911
    """Return a clause's value as people read it.

    >>> show_value(2_500_000, Kind.NUMBER), show_value(True, Kind.FLAG), show_value(None, Kind.TEXT)
    ('2.5', 'true', 'missing')
    """
    match value:
        case None:
            return MISSING
        case bool():
            return "true" if value else "false"
        case int() if kind is Kind.TIME:
            return (EPOCH + timedelta(milliseconds=value)).isoformat(timespec="milliseconds")
        case int() if kind is Kind.DATE:
            return (EPOCH + timedelta(days=value)).date().isoformat()
        case int() if kind is Kind.SPAN:
            return str(timedelta(milliseconds=value))
        case tuple():
            return ", ".join(value)
        case int():
            whole, part = divmod(abs(value), MICRO)
            sign = "-" if value < 0 else ""
            return f"{sign}{whole}.{part:06}".rstrip("0").rstrip(".")
        case _:
            return value
