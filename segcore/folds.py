"""What rows come to: the folds of aggregates, over rows from the oldest to the newest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from segcore.micro import bounded, divide_half_even
from segcore.row import Row
from segcore.rule import MICRO, Fold
from segcore.scalar import Value


def fold_rows(fold: Fold, rows: Sequence[Row]) -> Value:
    """Return what `rows`, oldest first, come to without an operand."""
    match fold:
        case Fold.EXISTS:
            return bool(rows)
        case Fold.COUNT:
            return len(rows) * MICRO
        case Fold.LATEST:
            return rows[-1].event.occurred_ms if rows else None
        case Fold.EARLIEST:
            return rows[0].event.occurred_ms if rows else None
        case _:
            raise ValueError(f"expected an operand for {fold}, found none")


def fold_values(fold: Fold, read: Sequence[Value]) -> Value:  # noqa: PLR0911
    """Return what the values of an operand, of the oldest row first, come to."""
    values = [value for value in read if value is not None]
    numbers = [value for value in values if isinstance(value, int)]
    match fold:
        case Fold.SUM:
            return bounded(sum(numbers))
        case Fold.MIN:
            return min(numbers, default=None)
        case Fold.MAX:
            return max(numbers, default=None)
        case Fold.AVG:
            return bounded(divide_half_even(sum(numbers), len(numbers))) if numbers else None
        case Fold.DISTINCT:
            return len(set(values)) * MICRO
        case Fold.LATEST:
            return values[-1] if values else None
        case Fold.EARLIEST:
            return values[0] if values else None
        case Fold.EXISTS | Fold.COUNT:
            raise ValueError(f"expected no operand for {fold}, found one")
        case _:
            assert_never(fold)
