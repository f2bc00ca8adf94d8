"""How large a rule may be once it is typed: what is beyond is refused, never cut short."""

from __future__ import annotations

from segcore.limits import AGGREGATE_LIMIT, DEPTH_LIMIT, FOLLOW_LIMIT, NODE_LIMIT
from segcore.nodes import Node, children_of
from segcore.rule import Aggregate, Follow
from services.kit.rules.errors import RuleError


def check_bounds(text: str, rule: Node) -> None:
    """Raise RuleError, at the first node beyond it, where `rule` is larger than it may be."""
    aggregates = count = 0
    # Nodes that stand nowhere in the text are placed by what is around them.
    pending: list[tuple[Node, int, int, int]] = [(rule, 1, 0, 0)]
    while pending:
        node, depth, follows, around = pending.pop()
        at = node.at if node.at >= 0 else around
        count += 1
        aggregates += isinstance(node, Aggregate)
        follows += isinstance(node, Follow)
        for found, most, complaint in (
            (depth, DEPTH_LIMIT, "a rule nests at most {} deep, this goes deeper"),
            (count, NODE_LIMIT, "a rule has at most {:,} parts, and is larger when spelled out"),
            (aggregates, AGGREGATE_LIMIT, "a rule has at most {} `exists`, `count` and their like"),
            (follows, FOLLOW_LIMIT, "sequences stand in one another at most {} deep"),
        ):
            if found > most:
                raise RuleError(text, at, complaint.format(most))
        children = reversed(children_of(node))
        pending += [(child, depth + 1, follows, at) for child in children]
