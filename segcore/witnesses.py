"""The rows that make a rule hold, so that a message can say the shoes and not the dress."""

from __future__ import annotations

from collections.abc import Iterator

from segcore.evaluation import Moment, rows_at, value_at
from segcore.row import Row
from segcore.rule import Aggregate, All, AnyOf, Expression, Fold, Not, Truth
from segcore.speaking import TALLIES, speaking_for


def witness_rows(rule: Expression, moment: Moment) -> list[Row]:
    """Return the rows that make `rule` hold, each once, newest first; none where it does not.

    Clauses that hold and are not negated count, each with its aggregates: of `exists`, `count`,
    `sum`, `distinct` and `avg` all rows, but the first four only where more rows speak for the
    clause (so of `sum(a) - sum(b) >= 5` those of `a`); of the others the one row that gives the
    value. Rows that follow, and those that a time is taken from, are no witnesses of others.
    A line stands before its event.
    """
    found: dict[tuple[int, int, bool], Row] = {}
    for row in _supporting(rule, moment):
        found.setdefault((row.place, row.line, row.item is None), row)
    return sorted(
        found.values(),
        key=lambda row: (row.newness, row.place, row.item is not None),
        reverse=True,
    )


def witness_skus(rule: Expression, moment: Moment) -> list[str]:
    """Return the SKUs of the lines that make `rule` hold, each once, newest first."""
    rows = witness_rows(rule, moment)
    return list(dict.fromkeys(row.item.sku for row in rows if row.item is not None))


def _supporting(expression: Expression, moment: Moment) -> Iterator[Row]:
    """Return the rows behind a condition, as far as it holds."""
    if value_at(expression, moment) is not True:
        return
    match expression:
        case All() | AnyOf():
            for part in expression.operands:
                yield from _supporting(part, moment)
        case Truth():
            yield from _supporting(expression.operand, moment)
        case Not(operand=Not(operand=inner)):
            yield from _supporting(inner, moment)
        case Not():
            return
        case _:
            for aggregate in speaking_for(expression):
                yield from _rows_behind(aggregate, moment)


def _rows_behind(aggregate: Aggregate, moment: Moment) -> list[Row]:
    rows = rows_at(aggregate.rows, moment)
    if aggregate.fold in TALLIES or aggregate.fold is Fold.AVG:
        return rows
    value = value_at(aggregate, moment)
    operand = aggregate.operand
    if operand is None:
        return rows[-1:] if aggregate.fold is Fold.LATEST else rows[:1]
    giving = [row for row in rows if value is not None and value_at(operand, moment, row) == value]
    return giving[:1] if aggregate.fold is Fold.EARLIEST else giving[-1:]
