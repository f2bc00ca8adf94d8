"""Rows of text cells to events, by a mapping: one event from one row or from several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from coterie.type.v1 import event_pb2, value_pb2
from segcore.rule import Kind
from services.host.definitions.document import DocumentError
from services.host.replay.cells import (
    RowError,
    day,
    digest,
    exact_sum,
    flag,
    number,
    time_reader,
    unit_price,
)
from services.host.replay.mapping import Condition, Fold, Property, RowMapping
from services.kit.rpc.dates import date_message
from services.kit.rpc.times import timestamp

Cells = Sequence[str]

MAX_ITEMS = 500
MAX_TEXT = 1_024
"""What the API takes: refused here already, with the line."""


class Built(NamedTuple):
    """An event without its id, as bytes. `key` is the id, or what ids are derived from."""

    time_ms: int
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Lookup:
    """Finds the cells of a row by the names of the columns."""

    positions: dict[str, int]

    def cell(self, cells: Cells, column: str | None) -> str:
        """Return the cell, empty where the mapping names no column."""
        return cells[self.positions[column]].strip() if column else ""


class EventBuilder:
    """Builds events from rows of one file. Raises DocumentError where the file lacks a column."""

    def __init__(self, mapping: RowMapping, header: Sequence[str], file: str) -> None:
        self._mapping = mapping
        for column, place in mapping.columns().items():
            if column not in header:
                raise DocumentError(
                    f"{mapping.file}: {place}: expected a column {column!r} in {file}, "
                    f"found only {', '.join(header)}"
                )
        self._at = Lookup({name: index for index, name in enumerate(header)})
        self._time = time_reader(mapping.time)

    def left_out(self, cells: Cells) -> str | None:
        """Return the column whose filter the row does not pass, or None where it passes all."""
        for one in self._mapping.filters:
            cell = self._at.cell(cells, one.column)
            passes = {
                Condition.IN: cell in one.values,
                Condition.NOT_IN: cell not in one.values,
                Condition.PRESENT: bool(cell) == bool(one.values),
            }[one.condition]
            if not passes:
                return one.column
        return None

    def group(self, cells: Cells) -> str:
        """Return the value by which rows are grouped; raises RowError for an empty one."""
        key = self._at.cell(cells, self._mapping.group_by)
        if not key:
            raise RowError(f"{self._mapping.group_by} is empty: the row belongs to no group")
        return key

    def build(self, rows: Sequence[Cells]) -> Built:
        """Return the event of one row, or of a group's rows: the first says who, when and what.

        Raises RowError.
        """
        try:
            return self._build(rows)
        except UnicodeEncodeError:
            raise RowError("the row is not UTF-8") from None

    def _build(self, rows: Sequence[Cells]) -> Built:
        first, mapping = rows[0], self._mapping
        time_ms = self._occurred_ms(first)
        event = event_pb2.Event(type=self._type(first), occurred_time=timestamp(time_ms))
        for namespace, column in mapping.identities.items():
            if identifier := self._at.cell(first, column):
                event.identities.add(namespace=namespace, value=identifier)
        if not event.identities:
            columns = ", ".join(mapping.identities.values())
            raise RowError(f"no identifier: {columns} empty")
        self._add_items(event, rows)
        for one in mapping.properties:
            value = self._folded(one, rows)
            if value is not None:
                event.properties[one.name].CopyFrom(value)
        return Built(time_ms, self._key(rows), event.SerializeToString())

    def _occurred_ms(self, cells: Cells) -> int:
        cell = self._at.cell(cells, self._mapping.time.column)
        try:
            return self._time(cell)
        except (ValueError, OverflowError):
            found = "is no such time" if cell else "is empty"
            raise RowError(
                f"{self._mapping.time.column} {found} ({self._mapping.time.format})"
            ) from None

    def _type(self, cells: Cells) -> str:
        mapped = self._mapping.event_type
        if mapped.constant:
            return mapped.constant
        found = mapped.values.get(self._at.cell(cells, mapped.column))
        if found is None:
            raise RowError(f"{mapped.column} has a value that the mapping does not name")
        return found

    def _key(self, rows: Sequence[Cells]) -> str:
        mapped = self._mapping.event_id
        if mapped.column:
            value = self._at.cell(rows[0], mapped.column)
            if not value:
                raise RowError(f"{mapped.column} is empty: the event has no id")
            return mapped.prefix + value
        parts = (self.group(rows[0]),) if self._mapping.group_by else rows[0]
        return mapped.prefix + digest(parts)

    def _add_items(self, event: event_pb2.Event, rows: Sequence[Cells]) -> None:
        if self._mapping.items is None:
            return
        if len(rows) > MAX_ITEMS:
            raise RowError(f"more than {MAX_ITEMS} lines in one event")
        for cells in rows:
            self._add_item(event, cells)

    def _add_item(self, event: event_pb2.Event, cells: Cells) -> None:
        items, at = self._mapping.items, self._at
        if items is None or not at.cell(cells, items.sku):
            return
        line = event.items.add(
            sku=at.cell(cells, items.sku),
            category=at.cell(cells, items.category),
            brand=at.cell(cells, items.brand),
        )
        if quantity := at.cell(cells, items.quantity):
            line.quantity = number(quantity, str(items.quantity))
        if price := at.cell(cells, items.price):
            line.price = number(price, str(items.price))
        if amount := at.cell(cells, items.amount):
            quantity_found = line.quantity if line.HasField("quantity") else 1.0
            line.quantity, line.price = unit_price(
                number(amount, str(items.amount)), quantity_found
            )

    def _folded(self, one: Property, rows: Sequence[Cells]) -> value_pb2.Value | None:
        if one.fold == Fold.COUNT:
            return value_pb2.Value(number=len(rows))
        cells = [cell for row in rows if (cell := self._at.cell(row, one.column))]
        if one.fold == Fold.SUM:
            return value_pb2.Value(number=exact_sum([number(cell, one.column) for cell in cells]))
        return self._value(one, cells[0]) if cells else None

    def _value(self, one: Property, cell: str) -> value_pb2.Value:
        match one.kind:
            case Kind.NUMBER:
                return value_pb2.Value(number=number(cell, one.column))
            case Kind.FLAG:
                return value_pb2.Value(flag=flag(cell, one.column))
            case Kind.TIME:
                try:
                    return value_pb2.Value(time=timestamp(self._time(cell)))
                except (ValueError, OverflowError):
                    raise RowError(f"{one.column} is no time") from None
            case Kind.DATE:
                return value_pb2.Value(date=date_message(day(cell, one.column)))
            case Kind.TEXT:
                if len(cell) > MAX_TEXT:
                    raise RowError(f"{one.column} is longer than {MAX_TEXT} characters")
                return value_pb2.Value(text=cell)
            case _:
                raise AssertionError(f"a mapping has no property of kind {one.kind}")
