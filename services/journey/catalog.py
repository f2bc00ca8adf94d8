"""The catalog as one partition has read it, for one step."""

from __future__ import annotations

from sqlalchemy import Connection, select

from coterie.type.v1 import change_pb2
from segcore.instance import CatalogItem
from services.journey import tables
from services.journey.wire import catalog_item_of
from services.kit.upserts import keep_last

_table = tables.catalog_items


class Catalog:
    """Items by SKU; what a step reads or changes stays here until the step writes it."""

    def __init__(self, connection: Connection, partition: int) -> None:
        self._connection = connection
        self._partition = partition
        self._items: dict[str, change_pb2.CatalogItem | None] = {}
        self._changed: dict[str, None] = {}

    def item(self, sku: str) -> change_pb2.CatalogItem | None:
        """Return what is known of a SKU, None for nothing."""
        if sku not in self._items:
            stored = self._connection.execute(
                select(_table.c.item).where(
                    _table.c.partition == self._partition, _table.c.sku == sku
                )
            ).scalar_one_or_none()
            known = None if stored is None else change_pb2.CatalogItem.FromString(stored)
            self._items[sku] = known
        return self._items[sku]

    def asked(self, sku: str) -> CatalogItem | None:
        """Return what a condition may ask of a SKU."""
        return catalog_item_of(self.item(sku))

    def put(self, item: change_pb2.CatalogItem) -> None:
        """Take an item as it is from now on, whole."""
        self._items[item.sku] = item
        self._changed[item.sku] = None

    def write(self) -> None:
        """Write what has changed."""
        rows = [
            {
                "partition": self._partition,
                "sku": sku,
                "item": item.SerializeToString(deterministic=True),
            }
            for sku in self._changed
            if (item := self._items[sku]) is not None
        ]
        keep_last(self._connection, _table, rows)
        self._changed.clear()
