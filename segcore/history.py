"""What happened to one person, as plain values: what events and attribute changes are made of.

The type of a value says its kind: `float` a number, `int` an instant in milliseconds UTC, `bool` a
flag, `str` a text, `date` a date, and a tuple of `str` texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from segcore.rule import Kind

PropertyValue = float | int | bool | str | date | tuple[str, ...]
"""One value of a property or an attribute outside protobuf."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order, a basket or a return; None is missing."""

    sku: str
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    quantity: float = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person did. `came_with` is the identifier that brought it, in one text."""

    event_id: str
    type: str
    occurred_ms: int
    received_ms: int
    came_with: str
    properties: Mapping[str, PropertyValue]
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """New attribute values, true from `as_of_ms` on; None clears.

    `came_with` is the identifier that brought them, in one text, empty where none is known.
    """

    values: Mapping[str, PropertyValue | None]
    as_of_ms: int
    came_with: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Everything known of one person, both in the order of arrival."""

    events: tuple[Event, ...] = ()
    attribute_changes: tuple[AttributeChange, ...] = ()


def kind_of_value(value: PropertyValue) -> Kind:
    """Return the kind that the type of `value` says."""
    if isinstance(value, bool):
        return Kind.FLAG
    if isinstance(value, int):
        return Kind.TIME
    if isinstance(value, float):
        return Kind.NUMBER
    if isinstance(value, date):
        return Kind.DATE
    return Kind.TEXTS if isinstance(value, tuple) else Kind.TEXT
