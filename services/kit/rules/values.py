"""Which nodes of a typed rule read values, and how messages speak of the types of these."""

from __future__ import annotations

from segcore.rule import (
    Attribute,
    CatalogField,
    EventField,
    Expression,
    ItemField,
    Kind,
    TriggerField,
)

_SPOKEN = {
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.FLAG: "a flag",
    Kind.TIME: "a time",
}


def is_field(node: Expression) -> bool:
    """Return whether a node reads a value that may be missing."""
    return isinstance(node, Attribute | EventField | ItemField | TriggerField | CatalogField)


def spoken(kind: Kind | None) -> str:
    """Return a type with its article."""
    return "null" if kind is None else _SPOKEN[kind]
