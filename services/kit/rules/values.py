"""What type a typed rule's node has, and how messages speak of it."""

from __future__ import annotations

from segcore.rule import (
    Aggregate,
    Arithmetic,
    Attribute,
    EventField,
    Expression,
    Fold,
    ItemField,
    Kind,
    Literal,
)

_SPOKEN = {
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.FLAG: "a flag",
    Kind.TIME: "a time",
}


def kind_of(node: Expression) -> Kind | None:
    """Return the type of what a node comes to; None for null alone."""
    match node:
        case Literal(kind=kind):
            return kind
        case Attribute(kind=kind) | EventField(kind=kind) | ItemField(kind=kind):
            return kind
        case Arithmetic():
            return Kind.NUMBER
        case Aggregate(fold=fold):
            return Kind.FLAG if fold is Fold.EXISTS else Kind.NUMBER
        case _:
            return Kind.FLAG


def is_field(node: Expression) -> bool:
    """Return whether a node reads a value that may be missing."""
    return isinstance(node, Attribute | EventField | ItemField)


def spoken(kind: Kind | None) -> str:
    """Return a type with its article."""
    return "null" if kind is None else _SPOKEN[kind]
