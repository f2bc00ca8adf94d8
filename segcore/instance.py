"""One person's way through a journey, as far as the conditions of the journey speak of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segcore.history import Event, PropertyValue
from segcore.rule import CatalogField, Expression, Follow, KeyText, Kind, Rows, Since, TriggerField

CATALOG_KINDS = {
    "stock": Kind.NUMBER,
    "price": Kind.NUMBER,
    "category": Kind.TEXT,
    "brand": Kind.TEXT,
    "name": Kind.TEXT,
    "tags": Kind.TEXTS,
}
"""What the catalog says of an item, to a condition."""


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """What the catalog says of one item now; None is missing. An item always has a list of tags."""

    stock: float | None = None
    price: float | None = None
    category: str | None = None
    brand: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()


def _empty_catalog(_: str) -> CatalogItem | None:
    return None


@dataclass(frozen=True, slots=True)
class Instance:
    """What `trigger`, `entry`, `key` and `catalog` stand for.

    `entry_ms` is the instant of entry. `trigger` is the event that was the entry, None for entry by
    audience, and `trigger_type` the type as which it was one; None means its own. `key` is None
    where the person is the key. `catalog` tells what is known of a SKU now, None for nothing.
    """

    entry_ms: int
    trigger: Event | None = None
    trigger_type: str | None = None
    key: str | None = None
    catalog: Callable[[str], CatalogItem | None] = _empty_catalog

    @property
    def triggered_as(self) -> str | None:
        """The type as which the trigger started the instance."""
        return self.trigger_type or (None if self.trigger is None else self.trigger.type)

    def counts(self, event: Event, since: Since) -> bool:
        """Return whether a row of `event` counts from then on; the trigger itself never does."""
        if self._is_trigger(event):
            return False
        if since is Since.ENTRY:
            return event.occurred_ms >= self.entry_ms
        return self.trigger is not None and event.occurred_ms >= self.trigger.occurred_ms

    def catalog_field(self, name: str) -> PropertyValue | None:
        """Return what the catalog says now of the key item."""
        item = None if self.key is None else self.catalog(self.key)
        if item is None:
            return None
        values: dict[str, PropertyValue | None] = {
            "stock": item.stock,
            "price": item.price,
            "category": item.category,
            "brand": item.brand,
            "name": item.name,
            "tags": item.tags,
        }
        return values[name]

    def _is_trigger(self, event: Event) -> bool:
        # The same event under another type that it counts as is not what started the instance.
        return (
            self.trigger is not None
            and event.event_id == self.trigger.event_id
            and event.type == self.triggered_as
        )


_WORDS = frozenset((TriggerField, KeyText, CatalogField))


def is_instance_word(node: Expression | Rows | Follow) -> bool:
    """Return whether this very node speaks of an instance, whatever stands below it."""
    if isinstance(node, Rows):
        return node.since is not None
    return type(node) in _WORDS
