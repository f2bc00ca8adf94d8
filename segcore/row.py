"""Rows of events and of items: what an event brings, and which of two rows is the newer."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.history import Event, Item
from segcore.rule import Scope


@dataclass(frozen=True, slots=True)
class Row:
    """One row: an event, or one line of it. `place` is that of the event in the history."""

    event: Event
    item: Item | None = None
    line: int = 0
    place: int = 0

    @property
    def newness(self) -> tuple[int, int, str, int]:
        """What is greater for the newer of two rows; of equals the later one to arrive is newer."""
        event = self.event
        return event.occurred_ms, event.received_ms, event.event_id, self.line

    def is_same(self, other: Row) -> bool:
        """Return whether both are one row: of one scope, event and line."""
        mine = (self.place, self.line, self.item is None)
        return mine == (other.place, other.line, other.item is None)


def rows_of_event(scope: Scope, event: Event, place: int = 0) -> list[Row]:
    """Return the rows of one event: itself, or its lines (a bare `sku` is one, of quantity 1)."""
    if scope is Scope.EVENT:
        return [Row(event, place=place)]
    if event.items:
        return [Row(event, item, line, place) for line, item in enumerate(event.items)]
    sku = event.properties.get("sku")
    if not isinstance(sku, str):
        return []
    category = event.properties.get("category")
    brand = event.properties.get("brand")
    price = event.properties.get("price")
    item = Item(
        sku=sku,
        category=category if isinstance(category, str) else None,
        brand=brand if isinstance(brand, str) else None,
        price=price if isinstance(price, float) else None,
        quantity=1.0,
    )
    return [Row(event, item, 0, place)]
