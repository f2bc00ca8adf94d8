"""Why a rule holds for one person, clause by clause, and when that changes by time alone.

All of it is computed by the reference, over the person's own history.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from segcore.evaluation import Membership, Moment, rows_at, value_at
from segcore.history import History
from segcore.instance import Instance
from segcore.kinds import kind_of
from segcore.nodes import children_of
from segcore.row import Row
from segcore.rule import (
    Age,
    Aggregate,
    Anniversary,
    Compare,
    Expression,
    Follow,
    InAudience,
    Kind,
    Literal,
    Rows,
)
from segcore.scalar import Value
from segcore.waiting import Future

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
    profile_id: int = 0,
    zone: str = "UTC",
) -> Clause:
    """Return the clauses of `rule` for the person with `history`.

    All but `rule` is as in `reference.next_change_ms`. Literals are no clauses of their own, and
    what stands below rows is part of their clause. An age has no next change: it grows all the
    time.
    """
    moment = Moment(history, now_ms, in_audience, settled, instance, profile_id, zone)
    future = Future((rule,), moment, rules)
    return _clause(rule, future.now, _next_changes(rule, future))


def _next_changes(rule: Expression, future: Future) -> dict[int, int]:
    """Return when each clause changes by time, by its identity, from one walk through time."""
    current = {id(node): (node, value_at(node, future.now)) for node in _changing(rule)}
    found: dict[int, int] = {}
    for later in future.moments():
        if not current:
            break
        changed = [key for key, (node, value) in current.items() if value_at(node, later) != value]
        for key in changed:
            found[key] = later.now_ms
            del current[key]
    return found


def _changing(expression: Expression) -> Iterator[Expression]:
    """Return the clauses that time may change; what is above one of them is one too."""
    below = [node for part in _parts(expression) for node in _changing(part)]
    own = isinstance(expression, Aggregate | Anniversary | InAudience)
    if (below or own or isinstance(expression, Compare)) and not isinstance(expression, Age):
        yield expression
    yield from below


def _clause(expression: Expression, moment: Moment, next_changes: Mapping[int, int]) -> Clause:
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
        next_change_ms=next_changes.get(id(expression)),
        children=tuple(_clause(part, moment, next_changes) for part in _parts(expression)),
    )


def _parts(expression: Expression) -> list[Expression]:
    """Return the clauses that stand below a node."""
    if isinstance(expression, Aggregate):
        return []
    below = children_of(expression)
    return [part for part in below if not isinstance(part, Literal | Rows | Follow)]


def _witnesses(rows: list[Row]) -> tuple[Witness, ...]:
    """Return the newest of rows that come oldest first."""
    return tuple(
        Witness(
            event_id=row.event.event_id,
            type=row.event.type,
            occurred_ms=row.event.occurred_ms,
            came_with=row.event.came_with,
            sku=None if row.item is None else row.item.sku,
        )
        for row in rows[: -WITNESS_LIMIT - 1 : -1]
    )
