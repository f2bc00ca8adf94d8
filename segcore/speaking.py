"""Which aggregates of a clause speak for it: their rows are its witnesses."""

from __future__ import annotations

from collections.abc import Iterator

from segcore.nodes import children_of
from segcore.rule import (
    Aggregate,
    Arithmetic,
    Compare,
    Comparison,
    Expression,
    Fold,
    Follow,
    Operator,
    Rows,
)

TALLIES = (Fold.EXISTS, Fold.COUNT, Fold.SUM, Fold.DISTINCT)
"""Folds that more rows take up: rows speak for `count() >= 2`, and not for `count() < 2`."""

_MORE_LEFT = (Comparison.GT, Comparison.GE, Comparison.EQ, Comparison.NE)
_MORE_RIGHT = (Comparison.LT, Comparison.LE, Comparison.EQ, Comparison.NE)


def speaking_for(clause: Expression) -> Iterator[Aggregate]:
    """Return the aggregates behind a clause that holds and is no `&&`, `||` or `!`."""
    if isinstance(clause, Compare):
        yield from _behind(clause.left, more=clause.comparison in _MORE_LEFT)
        yield from _behind(clause.right, more=clause.comparison in _MORE_RIGHT)
    else:
        yield from _behind(clause, more=True)


def _behind(expression: Expression, *, more: bool) -> Iterator[Aggregate]:
    """Return the aggregates behind a value; `more` says whether it helps that it is greater."""
    match expression:
        case Aggregate():
            if more or expression.fold not in TALLIES:
                yield expression
        case Arithmetic():
            yield from _behind(expression.left, more=more)
            down = expression.operator in (Operator.SUB, Operator.DIV)
            yield from _behind(expression.right, more=more != down)
        case _:
            for part in children_of(expression):
                if not isinstance(part, Rows | Follow):
                    yield from _behind(part, more=more)
