"""Walks over a rule: every node, and what stands directly below one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from segcore.rule import Expression, Follow, InAudience, Rows

Node = Expression | Rows | Follow
"""What a rule is made of: `Rows` and `Follow` have an offset too, but no value."""


def nodes_of(expression: Node) -> Iterator[Node]:
    """Return every node of `expression`, itself first."""
    yield expression
    for child in children_of(expression):
        yield from nodes_of(child)


def children_of(expression: Node) -> list[Node]:
    """Return the nodes that stand directly below this one."""
    parts: list[Node] = []
    for field in fields(expression):
        value = getattr(expression, field.name)
        candidates = value if isinstance(value, tuple) else (value,)
        parts += [part for part in candidates if isinstance(part, Node)]
    return parts


def audiences_in(expression: Expression) -> list[str]:
    """Return the ids of the audiences that a rule refers to, in order, as often as it does."""
    return [node.audience_id for node in nodes_of(expression) if isinstance(node, InAudience)]
