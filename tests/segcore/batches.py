"""Events as the columns that a batch is made of: what row by row is given, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from segcore.event_columns import EventColumns, ItemColumns, PropertyColumn, TextColumn
from segcore.history import Event, Item, PropertyValue, kind_of_value
from segcore.micro import from_float
from segcore.row import rows_of_event
from segcore.rule import Kind, Scope

Given = tuple[int, Event, int]
"""An ordinal, its event, and the time of the log at it."""

_EPOCH = date(1970, 1, 1).toordinal()
_MISSING = -(2**63)


def with_lines(event: Event) -> Event:
    """Return an event whose bare `sku` is a line: in columns whoever fills them has seen to it."""
    if event.items:
        return event
    lines = (row.item for row in rows_of_event(Scope.ITEM, event))
    return replace(event, items=tuple(line for line in lines if line is not None))


def columns_of(rows: Sequence[Given]) -> EventColumns:
    """Return events that have their lines as columns."""
    events = [event for _, event, _ in rows]
    ids = [event.event_id.encode() for event in events]
    return EventColumns(
        ordinals=np.array([ordinal for ordinal, _, _ in rows], np.uint32),
        types=_texts([event.type for event in events]),
        came_with=_texts([event.came_with for event in events]),
        occurred_ms=_numbers(event.occurred_ms for event in events),
        received_ms=_numbers(event.received_ms for event in events),
        log_ms=_numbers(log_ms for _, _, log_ms in rows),
        ids=b"".join(ids),
        id_ends=np.cumsum([len(each) for each in ids], dtype=np.int64),
        properties=_properties(events),
        items=_items(events),
    )


def _numbers(values: Iterable[int]) -> Any:
    return np.array(list(values), np.int64)


def _texts(values: Sequence[str | None]) -> TextColumn:
    """Return a column; a text that is not there has the code beyond the dictionary."""
    dictionary = list(dict.fromkeys(value for value in values if value is not None))
    codes = {value: code for code, value in enumerate(dictionary)}
    missing = len(dictionary)
    return TextColumn(
        np.array([codes.get(value, missing) for value in values], np.uint32), dictionary
    )


def _properties(events: Sequence[Event]) -> list[PropertyColumn]:
    wanted = {(name, kind_of_value(value)) for e in events for name, value in e.properties.items()}
    order = sorted(wanted, key=lambda each: (each[0], each[1].name))
    return [_property(events, name, kind) for name, kind in order]


def _property(events: Sequence[Event], name: str, kind: Kind) -> PropertyColumn:
    values = [event.properties.get(name) for event in events]
    kept = [value if _is_of(value, kind) else None for value in values]
    present = np.array([value is not None for value in kept], np.uint8)
    if kind in (Kind.TEXT, Kind.TEXTS):
        column = _texts([None if value is None else _joined(value) for value in kept])
        codes = np.where(present == 1, column.codes, 0).astype(np.int64)
        return PropertyColumn(name, kind, codes, present, column.dictionary)
    return PropertyColumn(name, kind, _numbers(_kept(value) for value in kept), present)


def _is_of(value: PropertyValue | None, kind: Kind) -> bool:
    return value is not None and kind_of_value(value) is kind


def _joined(value: PropertyValue) -> str:
    if isinstance(value, tuple):
        return "".join(f"{element}\x1f" for element in value)
    assert isinstance(value, str)
    return value


def _kept(value: PropertyValue | None) -> int:
    if isinstance(value, date):
        return value.toordinal() - _EPOCH
    return _number(value) if isinstance(value, float) else int(value or 0)  # type: ignore[arg-type]


def _number(value: float | None) -> int:
    return _MISSING if value is None else from_float(value)


def _items(events: Sequence[Event]) -> ItemColumns:
    lines: list[Item] = [item for event in events for item in event.items]
    return ItemColumns(
        ends=np.cumsum([len(event.items) for event in events], dtype=np.int64),
        skus=_texts([item.sku for item in lines]),
        categories=_texts([item.category for item in lines]),
        brands=_texts([item.brand for item in lines]),
        prices=_numbers(_number(item.price) for item in lines),
        quantities=_numbers(_number(item.quantity) for item in lines),
    )
