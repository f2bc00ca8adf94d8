"""Which nodes of a typed rule read values, and how messages speak of the types of these."""

from __future__ import annotations

from segcore.rule import (
    Aggregate,
    Attribute,
    CatalogField,
    EventField,
    Expression,
    Fold,
    ItemField,
    Kind,
    TriggerField,
)

_SPOKEN = {
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.FLAG: "a flag",
    Kind.TIME: "a time",
    Kind.DATE: "a date",
    Kind.TEXTS: "a list of texts",
    Kind.SPAN: "a duration",
}


def is_field(node: Expression) -> bool:
    """Return whether a node reads a value that may be missing."""
    return isinstance(node, Attribute | EventField | ItemField | TriggerField | CatalogField)


def may_be_missing(node: Expression) -> bool:
    """Return whether a flag may be missing: a field, or its value in the newest or oldest row."""
    return is_field(node) or (isinstance(node, Aggregate) and node.fold is not Fold.EXISTS)


def spoken(kind: Kind | None) -> str:
    """Return a type with its article."""
    return "null" if kind is None else _SPOKEN[kind]
