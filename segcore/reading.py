"""Values as rules see them: of attributes, of events, of items."""

from __future__ import annotations

from datetime import date

from segcore.history import Event, History, Item, PropertyValue, kind_of_value
from segcore.micro import from_float
from segcore.rule import Kind
from segcore.scalar import Value

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def attribute_of(name: str, history: History) -> PropertyValue | None:
    """Return the value that is true from the latest instant on, of one instant the last to come."""
    latest_ms = None
    value = None
    for change in history.attribute_changes:
        if name in change.values and (latest_ms is None or change.as_of_ms >= latest_ms):
            latest_ms = change.as_of_ms
            value = change.values[name]
    return value


def event_field(name: str, event: Event) -> PropertyValue | None:
    """Return a property of an event, or what every event has."""
    intrinsic: dict[str, PropertyValue] = {
        "id": event.event_id,
        "type": event.type,
        "occurred_at": event.occurred_ms,
        "received_at": event.received_ms,
    }
    return intrinsic.get(name, event.properties.get(name))


def item_field(name: str, item: Item | None) -> PropertyValue | None:
    """Return what a line says of its item; raises ValueError for a row of events."""
    if item is None:
        raise ValueError(f"expected a row of items for item.{name}, found a row of events")
    values: dict[str, PropertyValue | None] = {
        "sku": item.sku,
        "category": item.category,
        "brand": item.brand,
        "price": item.price,
        "quantity": item.quantity,
    }
    return values[name]


def of_kind(value: PropertyValue | None, kind: Kind) -> Value:
    """Return the value as rules see it; missing where it is of another kind than declared."""
    if value is None or kind_of_value(value) is not kind:
        return None
    if isinstance(value, float):
        return from_float(value)
    return value.toordinal() - _EPOCH_ORDINAL if isinstance(value, date) else value
