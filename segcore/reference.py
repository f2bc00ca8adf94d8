"""Every rule in plain Python, slowly and obviously: the specification and the oracle.

The incremental engine, its bulk builds and a restored snapshot must agree with this on every
history. An instant has two phases: inputs come first, then what time changes. `settled=False` asks
for the state between them, in which a row that leaves at `now_ms` itself is still there.
"""

from __future__ import annotations

from collections.abc import Mapping

from segcore.evaluation import Membership, Moment, rows_at, rows_of, value_at
from segcore.history import History
from segcore.instance import Instance
from segcore.nodes import Node, children_of, nodes_of
from segcore.row import Row, rows_of_event
from segcore.rule import Expression
from segcore.scalar import Value
from segcore.waiting import next_change_of

__all__ = [
    "Membership",
    "Moment",
    "Node",
    "Row",
    "Value",
    "children_of",
    "evaluate",
    "next_change_ms",
    "nodes_of",
    "rows_at",
    "rows_of",
    "rows_of_event",
    "value_at",
]


def evaluate(  # noqa: PLR0913
    expression: Expression,
    history: History,
    now_ms: int,
    in_audience: Membership,
    *,
    settled: bool = True,
    instance: Instance | None = None,
    profile_id: int = 0,
    zone: str = "UTC",
) -> Value:
    """Return what `expression` comes to for the person with `history` at `now_ms`.

    `instance` is what a condition of a journey speaks of; without it such a one raises ValueError.
    `profile_id` decides buckets. `zone` is the workspace's, of persons whose attribute `zone` names
    none.
    """
    moment = Moment(history, now_ms, in_audience, settled, instance, profile_id, zone)
    return value_at(expression, moment)


def next_change_ms(  # noqa: PLR0913
    expression: Expression,
    history: History,
    now_ms: int,
    in_audience: Membership,
    *,
    settled: bool = True,
    rules: Mapping[str, Expression] | None = None,
    instance: Instance | None = None,
    profile_id: int = 0,
    zone: str = "UTC",
) -> int | None:
    """Return the next instant at which time alone changes the value, or None where it never does.

    Memberships stand as `in_audience` says, but audiences whose rule is in `rules` (with all that
    those refer to) are followed through time. A bare `Age` changes all the time and has no next.
    """
    moment = Moment(history, now_ms, in_audience, settled, instance, profile_id, zone)
    return next_change_of(expression, moment, rules)
