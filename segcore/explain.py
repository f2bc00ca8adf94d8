"""Why a rule holds for one person, clause by clause, and when that changes by time alone.

All of it is computed by the reference, over the person's own history.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segcore.history import History
from segcore.instance import Instance
from segcore.kinds import kind_of
from segcore.reference import (
    Membership,
    Moment,
    Row,
    Value,
    children_of,
    next_change_ms,
    rows_at,
    value_at,
)
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Compare,
    Expression,
    Follow,
    Kind,
    Literal,
    Not,
    OneOf,
    Rows,
    TestText,
    Truth,
)

WITNESS_LIMIT = 5
"""How many rows a clause names: enough to see why, few enough to read."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A row that a clause counts; `sku` is there for rows of items."""

    event_id: str
    type: str
    occurred_ms: int
    came_with: str
    sku: str | None


@dataclass(frozen=True, slots=True)
class Clause:
    """One node of a rule with what it comes to. `at` is its offset in the rule's text, or -1.

    `node` is the node itself and `value_kind` the kind of its value; `row_count` and `witnesses`
    (the newest rows, newest first) speak of aggregates, for others they are 0 and empty.
    """

    at: int
    node: Expression
    value: Value
    value_kind: Kind | None
    row_count: int
    witnesses: tuple[Witness, ...]
    next_change_ms: int | None
    children: tuple[Clause, ...]


def explain(  # noqa: PLR0913
    rule: Expression,
    history: History,
    now_ms: int,
    in_audience: Membership,
    *,
    settled: bool = True,
    rules: Mapping[str, Expression] | None = None,
    instance: Instance | None = None,
) -> Clause:
    """Return the clauses of `rule` for the person with `history`.

    `settled`, `rules` and `instance` are those of `reference.next_change_ms`.
    Literals are no clauses of their own, and what stands below rows is part of their clause.
    """
    moment = Moment(history, now_ms, in_audience, settled, instance)
    return _clause(rule, moment, rules)


def _clause(
    expression: Expression, moment: Moment, rules: Mapping[str, Expression] | None
) -> Clause:
    rows: list[Row] = []
    if isinstance(expression, Aggregate):
        rows = rows_at(expression.rows, moment)
    return Clause(
        at=expression.at,
        node=expression,
        value=value_at(expression, moment),
        value_kind=kind_of(expression),
        row_count=len(rows),
        witnesses=_witnesses(rows),
        next_change_ms=next_change_ms(
            expression,
            moment.history,
            moment.now_ms,
            moment.in_audience,
            settled=moment.settled,
            rules=rules,
            instance=moment.instance,
        ),
        children=tuple(_clause(part, moment, rules) for part in _parts(expression)),
    )


def _parts(expression: Expression) -> list[Expression]:
    """Return the clauses that stand below a node."""
    if isinstance(expression, Not | All | AnyOf | Truth | Compare | Arithmetic | OneOf | TestText):
        below = children_of(expression)
        return [part for part in below if not isinstance(part, Literal | Rows | Follow)]
    return []


def _witnesses(rows: list[Row]) -> tuple[Witness, ...]:
    """Return the newest rows: of one instant the later received, the greater id, the later line."""
    newest = sorted(
        rows,
        key=lambda row: (
            row.event.occurred_ms,
            row.event.received_ms,
            row.event.event_id,
            row.line,
        ),
        reverse=True,
    )
    return tuple(
        Witness(
            event_id=row.event.event_id,
            type=row.event.type,
            occurred_ms=row.event.occurred_ms,
            came_with=row.event.came_with,
            sku=None if row.item is None else row.item.sku,
        )
        for row in newest[:WITNESS_LIMIT]
    )
