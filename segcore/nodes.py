"""Walks over a rule: every node, and what stands directly below one."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import fields

from segcore.rule import Expression, Follow, InAudience, Rows

Node = Expression | Rows | Follow
"""What a rule is made of: `Rows` and `Follow` have an offset too, but no value."""

_PARTS = {
    cls: tuple(field.name for field in fields(cls))
    for cls in (*typing.get_args(Expression), Rows, Follow)
}
"""Of each class its fields: every rule that is saved or asked is walked, so it has to be quick."""


def nodes_of(expression: Node) -> Iterator[Node]:
    """Return every node of `expression`, itself first."""
    pending = [expression]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(children_of(node))


def children_of(expression: Node) -> list[Node]:
    """Return the nodes that stand directly below this one."""
    parts: list[Node] = []
    for name in _PARTS[type(expression)]:
        value = getattr(expression, name)
        if type(value) in _PARTS:
            parts.append(value)
        elif type(value) is tuple:
            parts += [part for part in value if type(part) in _PARTS]
    return parts


def audiences_in(expression: Expression) -> list[str]:
    """Return the ids of the audiences that a rule refers to, in order, as often as it does."""
    return [node.audience_id for node in nodes_of(expression) if isinstance(node, InAudience)]
