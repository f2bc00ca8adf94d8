"""Which nodes are chains of rows: `events(...)` or `items(...)` with what is called on them."""

from __future__ import annotations

from collections.abc import Iterator

from segcore.rule import Scope
from services.kit.rules.tree import Call, Node

SOURCES = {"events": Scope.EVENT, "items": Scope.ITEM}


def is_chain(node: Node | None) -> bool:
    """Return whether a node is `events(...)` or `items(...)`, or something called on them."""
    while isinstance(node, Call):
        if node.target is None:
            return node.function in SOURCES
        node = node.target
    return False


def links(node: Node | None) -> Iterator[Call]:
    """Return the calls of a chain, the last one first."""
    while isinstance(node, Call):
        yield node
        node = node.target
