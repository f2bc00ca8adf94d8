"""Events that came as columns, back to rows: what is wrong with a column is said by its place.

Here only the shape is checked, which is the same for all rows; each row is then checked like any
other input, and refused alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coterie.profile.v1 import columns_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import event_pb2, value_pb2
from services.kit.errors import InvalidArgument, invalid_field
from services.profile import limits

NONE = 0xFFFFFFFF
"""The code of a row that has no text."""
NEVER = -(2**63)
"""The time of a row that has none."""
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""
FIRST_DAY = dt.date.min.toordinal() - dt.date(1970, 1, 1).toordinal()
LAST_DAY = dt.date.max.toordinal() - dt.date(1970, 1, 1).toordinal()

Kept = TypeVar("Kept")
Put = Callable[[value_pb2.Value, int], None]
"""Writes the value of a row."""


def inputs_of(request: pb.IngestRequest | pb.IngestBatchRequest) -> Sequence[pb.IngestInput]:
    """Return the inputs of a batch, whichever way they came; raises InvalidArgument."""
    if not request.HasField("columns"):
        return request.inputs
    if request.inputs:
        raise invalid_field("columns", "inputs beside them", "either of the two")
    return expand(request.columns)


def expand(columns: columns_pb2.EventColumns) -> list[pb.IngestInput]:
    """Return the events as inputs, in order; raises InvalidArgument for columns of a wrong form."""
    count = columns.row_count
    if not 0 < count <= limits.BATCH_INPUTS:
        raise invalid_field("columns.row_count", str(count), f"1 to {limits.BATCH_INPUTS}")
    if len(columns.event_ids) != count:
        found = f"{len(columns.event_ids)}"
        raise invalid_field("columns.event_ids", found, f"{count} values, one a row")
    inputs = [pb.IngestInput() for _ in range(count)]
    events = [each.event for each in inputs]
    types = _texts(columns.types, count, "columns.types")
    for event, event_id, type_ in zip(events, columns.event_ids, types, strict=True):
        event.event_id = event_id
        event.type = type_ or ""
        event.primary_namespace = columns.primary_namespace
    _put_identities(columns.identities, events)
    for event, time_ms in _said(events, columns.occurred_time_ms, "columns.occurred_time_ms"):
        event.occurred_time.FromMilliseconds(time_ms)
    for input_, time_ms in _said(inputs, columns.received_time_ms, "columns.received_time_ms"):
        input_.received_time.FromMilliseconds(time_ms)
    _put_properties(columns.properties, events)
    if columns.HasField("items"):
        _put_lines(columns.items, events)
    return inputs


def _put_identities(
    columns: Sequence[columns_pb2.IdentityColumn], events: Sequence[event_pb2.Event]
) -> None:
    _check_most(len(columns), limits.IDENTITIES, "columns.identities")
    for place, column in enumerate(columns):
        values = _texts(
            column.values, len(events), f"columns.identities[{place}].values", optional=True
        )
        for event, value in zip(events, values, strict=True):
            if value is not None:
                event.identities.add(namespace=column.namespace, value=value)


def _said(rows: Sequence[Kept], content: bytes, place: str) -> Iterable[tuple[Kept, int]]:
    """Return the rows that have a time, each with it in milliseconds."""
    if not content:
        return ()
    times = _array(content, "<i8", len(rows), place)
    wrong = (times != NEVER) & ((times < FIRST_MS) | (times > LAST_MS))
    _check_none(wrong, place, "a time of the years 1 to 9999")
    return ((row, time) for row, time in zip(rows, times.tolist(), strict=True) if time != NEVER)


def _put_properties(
    columns: Sequence[columns_pb2.PropertyColumn], events: Sequence[event_pb2.Event]
) -> None:
    _check_most(len(columns), limits.PROPERTIES, "columns.properties")
    names = set()
    for index, column in enumerate(columns):
        place = f"columns.properties[{index}]"
        if column.name in names:
            raise invalid_field(f"{place}.name", "one that came before", "another name")
        names.add(column.name)
        present = _bits(column.present, len(events), f"{place}.present")
        put = _values(column, present, place)
        for row in np.flatnonzero(present).tolist():
            put(events[row].properties[column.name], row)


def _values(column: columns_pb2.PropertyColumn, present: NDArray[np.bool_], place: str) -> Put:
    """Return what writes a row's value; the values of all rows that have one are in range."""
    count = len(present)
    kind = column.WhichOneof("values")
    match kind:
        case "texts":
            return _text_values(column.texts, present, f"{place}.texts")
        case "lists":
            return _list_values(column.lists, present, f"{place}.lists")
        case "numbers":
            numbers = _array(column.numbers, "<f8", count, f"{place}.numbers").tolist()
            return lambda value, row: setattr(value, "number", numbers[row])
        case "flags":
            flags = _array(column.flags, "u1", count, f"{place}.flags")
            _check_none(present & (flags > 1), f"{place}.flags", "0 or 1")
            return lambda value, row: setattr(value, "flag", bool(flags[row]))
        case "times_ms":
            times = _array(column.times_ms, "<i8", count, f"{place}.times_ms")
            wrong = present & ((times < FIRST_MS) | (times > LAST_MS))
            _check_none(wrong, f"{place}.times_ms", "a time of the years 1 to 9999")
            return lambda value, row: value.time.FromMilliseconds(int(times[row]))
        case "dates":
            return _date_values(column.dates, present, f"{place}.dates")
        case None:
            raise invalid_field(place, "nothing", "values of one type")


def _text_values(column: columns_pb2.TextColumn, present: NDArray[np.bool_], place: str) -> Put:
    codes = _codes(column.codes, len(column.values), present, place).tolist()
    values = list(column.values)
    return lambda value, row: setattr(value, "text", values[codes[row]])


def _list_values(column: columns_pb2.TextsColumn, present: NDArray[np.bool_], place: str) -> Put:
    codes = _codes(column.codes, len(column.values), present, place).tolist()
    return lambda value, row: value.texts.CopyFrom(column.values[codes[row]])


def _date_values(content: bytes, present: NDArray[np.bool_], place: str) -> Put:
    days = _array(content, "<i4", len(present), place)
    wrong = present & ((days < FIRST_DAY) | (days > LAST_DAY))
    _check_none(wrong, place, "a date of the years 1 to 9999")

    def put(value: value_pb2.Value, row: int) -> None:
        day = dt.date(1970, 1, 1) + dt.timedelta(int(days[row]))
        value.date.year, value.date.month, value.date.day = day.year, day.month, day.day

    return put


def _put_lines(lines: columns_pb2.LineColumns, events: Sequence[event_pb2.Event]) -> None:
    ends = _array(lines.row_ends, "<u4", len(events), "columns.items.row_ends").astype(np.int64)
    counts = np.diff(ends, prepend=0)
    _check_none(counts < 0, "columns.items.row_ends", "an end not before the last row's")
    total = int(ends[-1])
    _check_most(total, limits.BATCH_INPUTS * limits.ITEMS, "columns.items.row_ends")
    made = [
        event.items.add()
        for event, count in zip(events, counts.tolist(), strict=True)
        for _ in range(count)
    ]
    skus = _texts(lines.skus, total, "columns.items.skus")
    for line, sku in zip(made, skus, strict=True):
        line.sku = sku or ""
    for name in ("categories", "brands"):
        if lines.HasField(name):
            column = lines.categories if name == "categories" else lines.brands
            texts = _texts(column, total, f"columns.items.{name}", optional=True)
            field = "category" if name == "categories" else "brand"
            for line, text in zip(made, texts, strict=True):
                setattr(line, field, text or "")
    for field, content in (("price", lines.prices), ("quantity", lines.quantities)):
        if content:
            place = "prices" if field == "price" else "quantities"
            numbers = _array(content, "<f8", total, f"columns.items.{place}")
            for row in np.flatnonzero(~np.isnan(numbers)).tolist():
                setattr(made[row], field, float(numbers[row]))


def _texts(
    column: columns_pb2.TextColumn, count: int, place: str, *, optional: bool = False
) -> list[str | None]:
    """Return the text of each row, None where it has none."""
    everywhere = np.ones(count, np.bool_)
    codes = _codes(column.codes, len(column.values), everywhere, place, optional=optional)
    values: list[str | None] = [*column.values, None]
    return [values[code] for code in np.minimum(codes, len(column.values)).tolist()]


def _codes(
    content: bytes, distinct: int, present: NDArray[np.bool_], place: str, *, optional: bool = False
) -> NDArray[np.uint32]:
    codes = _array(content, "<u4", len(present), f"{place}.codes").astype(np.uint32)
    wrong = present & (codes >= distinct)
    if optional:
        wrong &= codes != NONE
    _check_none(wrong, f"{place}.codes", f"a place among {distinct} values")
    return codes


def _bits(content: bytes, count: int, place: str) -> NDArray[np.bool_]:
    if not content:
        return np.ones(count, np.bool_)
    packed: NDArray[np.uint8] = _array(content, "u1", (count + 7) // 8, place)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_)


def _array(content: bytes, form: str, count: int, place: str) -> NDArray[Any]:
    """Return a fixed-width column; raises InvalidArgument unless it has a value for each row."""
    width = np.dtype(form).itemsize
    if len(content) != count * width:
        raise invalid_field(
            place, f"{len(content)} bytes", f"{count * width}: {count} values of {width}"
        )
    return np.frombuffer(content, form)


def _check_none(wrong: NDArray[np.bool_], place: str, expected: str) -> None:
    """Raise InvalidArgument with the first row that is wrong."""
    if wrong.any():
        raise invalid_field(f"{place}[{int(wrong.argmax())}]", "another value", expected)


def _check_most(count: int, most: int, place: str) -> None:
    if count > most:
        raise InvalidArgument(
            "TOO_MANY",
            f"{place}: expected at most {most}, found {count}",
            {"limit": str(most), "found": str(count)},
        )
