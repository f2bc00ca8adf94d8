"""How large a rule may be: what is beyond is refused when it is saved, and never cut short."""

from __future__ import annotations

from segcore.nodes import Node, children_of
from segcore.rule import Aggregate, Expression, Follow, Rows

DEPTH_LIMIT = 32
"""Levels of nodes, the rule itself being the first: every evaluator is recursive."""

NODE_LIMIT = 2_000
"""Nodes of one rule, the options of `in` counted."""

AGGREGATE_LIMIT = 64
"""Aggregates of one rule: each is a set of rows to keep in mind for each profile."""

FOLLOW_LIMIT = 8
"""Levels of `followedBy` and `notFollowedBy` in one another."""

WINDOW_LIMIT_MS = 3_653 * 86_400_000
"""Windows and ages of rows: ten years, with their leap days."""

CALENDAR_DAYS_LIMIT = 3_653
"""The same in local days."""


def check_limits(rule: Expression) -> None:
    """Raise ValueError, with the offset of the node, where `rule` is larger than it may be."""
    aggregates = 0
    count = 0
    pending: list[tuple[Node, int, int]] = [(rule, 1, 0)]
    while pending:
        node, depth, follows = pending.pop()
        count += 1
        _within(node, "levels of nodes", depth, DEPTH_LIMIT)
        _within(node, "nodes", count, NODE_LIMIT)
        if isinstance(node, Aggregate):
            aggregates += 1
            _within(node, "aggregates", aggregates, AGGREGATE_LIMIT)
        elif isinstance(node, Follow):
            follows += 1
            _within(node, "levels of followedBy in one another", follows, FOLLOW_LIMIT)
        pending += [(child, depth + 1, follows) for child in reversed(children_of(node))]


def _within(node: Expression | Rows | Follow, what: str, found: int, limit: int) -> None:
    if found > limit:
        raise ValueError(
            f"{type(node).__name__} at offset {node.at}: expected at most {limit} {what}"
        )
