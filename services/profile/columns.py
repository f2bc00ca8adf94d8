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
from services.kit.rpc.dates import date_message
from services.profile import limits

NONE = 0xFFFFFFFF
"""The code of a row that has no text."""
NEVER = -(2**63)
"""The time of a row that has none."""
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""
FIRST_DAY = dt.date.min.toordinal() - dt.date(1970, 1, 1).toordinal()
LAST_DAY = dt.date.max.toordinal() - dt.date(1970, 1, 1).toordinal()

Truths = NDArray[np.bool_]
Kept = TypeVar("Kept")
Put = Callable[[value_pb2.Value, int], None]
"""Writes the value of a row."""


def check_way(request: pb.IngestRequest | pb.IngestBatchRequest) -> None:
    """Raise InvalidArgument for a batch that came both ways."""
    if request.inputs and request.HasField("columns"):
        raise invalid_field("columns", "inputs beside them", "either of the two")


def check_rows(columns: columns_pb2.EventColumns) -> None:
    """Raise InvalidArgument unless there are 1 to 1,000 rows, each with an id."""
    count = columns.row_count
    if not 0 < count <= limits.BATCH_INPUTS:
        raise invalid_field("columns.row_count", str(count), f"1 to {limits.BATCH_INPUTS}")
    if len(columns.event_ids) != count:
        found = f"{len(columns.event_ids)}"
        raise invalid_field("columns.event_ids", found, f"{count} values, one a row")


def expand(columns: columns_pb2.EventColumns) -> list[pb.IngestInput]:
    """Return the events as inputs, in order; raises InvalidArgument for columns of a wrong form."""
    check_rows(columns)
    count = columns.row_count
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


def check_names(columns: Sequence[columns_pb2.PropertyColumn]) -> None:
    """Raise InvalidArgument for too many properties or two of one name."""
    check_most(len(columns), limits.PROPERTIES, "columns.properties")
    names = set()
    for index, column in enumerate(columns):
        if column.name in names:
            place = f"columns.properties[{index}].name"
            raise invalid_field(place, "one that came before", "another name")
        names.add(column.name)


def kind_of(column: columns_pb2.PropertyColumn, place: str) -> str:
    """Return the name of the field that holds the values; raises InvalidArgument for none."""
    kind = column.WhichOneof("values")
    if kind is None:
        raise invalid_field(place, "nothing", "values of one type")
    return str(kind)


def times_of(content: bytes, count: int, place: str) -> tuple[NDArray[np.int64], Truths]:
    """Return times in milliseconds, and which rows have one."""
    times = array_of(content, "<i8", count, place)
    said = times != NEVER
    _check_range(times, said, place)
    return times, said


def present_times(content: bytes, present: Truths, place: str) -> NDArray[np.int64]:
    """Return the instants of a property."""
    times = array_of(content, "<i8", len(present), place)
    _check_range(times, present, place)
    return times


def flags_of(content: bytes, present: Truths, place: str) -> NDArray[np.uint8]:
    """Return 0 or 1 for each row that has a flag."""
    flags = array_of(content, "u1", len(present), place)
    _check_none(present & (flags > 1), place, "0 or 1")
    return flags


def days_of(content: bytes, present: Truths, place: str) -> NDArray[np.int32]:
    """Return the days of a property, from 1970-01-01."""
    days = array_of(content, "<i4", len(present), place)
    wrong = present & ((days < FIRST_DAY) | (days > LAST_DAY))
    _check_none(wrong, place, "a date of the years 1 to 9999")
    return days


def date_of(day: int) -> value_pb2.Date:
    """Return the date that is so many days from 1970-01-01."""
    return date_message(dt.date(1970, 1, 1) + dt.timedelta(day))


def ends_of(
    lines: columns_pb2.LineColumns, rows: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return where the lines of each row end, and how many it has."""
    ends = array_of(lines.row_ends, "<u4", rows, "columns.items.row_ends")
    counts = ends.astype(np.int64)
    counts[1:] -= ends[:-1]
    _check_none(counts < 0, "columns.items.row_ends", "an end not before the last row's")
    check_most(int(ends[-1]), limits.BATCH_INPUTS * limits.ITEMS, "columns.items.row_ends")
    return ends, counts


def _put_identities(
    columns: Sequence[columns_pb2.IdentityColumn], events: Sequence[event_pb2.Event]
) -> None:
    check_most(len(columns), limits.IDENTITIES, "columns.identities")
    for place, column in enumerate(columns):
        where = f"columns.identities[{place}].values"
        values = _texts(column.values, len(events), where, none=True)
        for event, value in zip(events, values, strict=True):
            if value is not None:
                event.identities.add(namespace=column.namespace, value=value)


def _said(rows: Sequence[Kept], content: bytes, place: str) -> Iterable[tuple[Kept, int]]:
    """Return the rows that have a time, each with it in milliseconds."""
    if not content:
        return ()
    times, _ = times_of(content, len(rows), place)
    return ((row, time) for row, time in zip(rows, times.tolist(), strict=True) if time != NEVER)


def _put_properties(
    columns: Sequence[columns_pb2.PropertyColumn], events: Sequence[event_pb2.Event]
) -> None:
    check_names(columns)
    for index, column in enumerate(columns):
        place = f"columns.properties[{index}]"
        present = bits_of(column.present, len(events), f"{place}.present")
        put = _values(column, present, place)
        for row in np.flatnonzero(present).tolist():
            put(events[row].properties[column.name], row)


def _values(column: columns_pb2.PropertyColumn, present: Truths, place: str) -> Put:
    """Return what writes a row's value; the values of all rows that have one are in range."""
    kind = kind_of(column, place)
    place = f"{place}.{kind}"
    match kind:
        case "texts":
            texts = column.texts
            codes = codes_of(texts.codes, len(texts.values), present, place).tolist()
            return lambda value, row: setattr(value, "text", texts.values[codes[row]])
        case "lists":
            lists = column.lists
            codes = codes_of(lists.codes, len(lists.values), present, place).tolist()
            return lambda value, row: value.texts.CopyFrom(lists.values[codes[row]])
        case "numbers":
            numbers = array_of(column.numbers, "<f8", len(present), place).tolist()
            return lambda value, row: setattr(value, "number", numbers[row])
        case "flags":
            flags = flags_of(column.flags, present, place).tolist()
            return lambda value, row: setattr(value, "flag", bool(flags[row]))
        case "times_ms":
            times = present_times(column.times_ms, present, place).tolist()
            return lambda value, row: value.time.FromMilliseconds(times[row])
        case _:
            days = days_of(column.dates, present, place).tolist()
            return lambda value, row: value.date.CopyFrom(date_of(days[row]))


def _put_lines(lines: columns_pb2.LineColumns, events: Sequence[event_pb2.Event]) -> None:
    _, counts = ends_of(lines, len(events))
    made = [
        event.items.add()
        for event, count in zip(events, counts.tolist(), strict=True)
        for _ in range(count)
    ]
    skus = _texts(lines.skus, len(made), "columns.items.skus")
    for line, sku in zip(made, skus, strict=True):
        line.sku = sku or ""
    if lines.HasField("categories"):
        texts = _texts(lines.categories, len(made), "columns.items.categories", none=True)
        for line, text in zip(made, texts, strict=True):
            line.category = text or ""
    if lines.HasField("brands"):
        texts = _texts(lines.brands, len(made), "columns.items.brands", none=True)
        for line, text in zip(made, texts, strict=True):
            line.brand = text or ""
    for row, number in _numbers(lines.prices, len(made), "columns.items.prices"):
        made[row].price = number
    for row, number in _numbers(lines.quantities, len(made), "columns.items.quantities"):
        made[row].quantity = number


def _numbers(content: bytes, count: int, place: str) -> Iterable[tuple[int, float]]:
    """Return the lines that have a number, each with it."""
    if not content:
        return ()
    numbers = array_of(content, "<f8", count, place)
    said = np.flatnonzero(~np.isnan(numbers))
    return zip(said.tolist(), numbers[said].tolist(), strict=True)


def _texts(
    column: columns_pb2.TextColumn, count: int, place: str, *, none: bool = False
) -> list[str | None]:
    """Return the text of each row, None where it has none."""
    everywhere = np.ones(count, np.bool_)
    codes = codes_of(column.codes, len(column.values), everywhere, place, none=none)
    values: list[str | None] = [*column.values, None]
    return [values[code] for code in np.minimum(codes, len(column.values)).tolist()]


def codes_of(
    content: bytes, distinct: int, present: Truths, place: str, *, none: bool = False
) -> NDArray[np.uint32]:
    """Return the codes of a dictionary's texts; NONE only where `none` allows it."""
    codes = array_of(content, "<u4", len(present), f"{place}.codes")
    wrong = present & (codes >= distinct)
    if none:
        wrong &= codes != NONE
    _check_none(wrong, f"{place}.codes", f"a place among {distinct} values")
    return codes


def bits_of(content: bytes, count: int, place: str) -> Truths:
    """Return which rows have a property."""
    if not content:
        return np.ones(count, np.bool_)
    packed: NDArray[np.uint8] = array_of(content, "u1", (count + 7) // 8, place)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_)


def array_of(content: bytes, form: str, count: int, place: str) -> NDArray[Any]:
    """Return a fixed-width column; raises InvalidArgument unless it has a value for each row."""
    width = np.dtype(form).itemsize
    if len(content) != count * width:
        raise invalid_field(
            place, f"{len(content)} bytes", f"{count * width}: {count} values of {width}"
        )
    return np.frombuffer(content, form)


def check_most(count: int, most: int, place: str) -> None:
    """Raise InvalidArgument for more than `most`."""
    if count > most:
        raise InvalidArgument(
            "TOO_MANY",
            f"{place}: expected at most {most}, found {count}",
            {"limit": str(most), "found": str(count)},
        )


def _check_range(times: NDArray[np.int64], said: Truths, place: str) -> None:
    wrong = said & ((times < FIRST_MS) | (times > LAST_MS))
    _check_none(wrong, place, "a time of the years 1 to 9999")


def _check_none(wrong: Truths, place: str, expected: str) -> None:
    """Raise InvalidArgument with the first row that is wrong."""
    if wrong.any():
        raise invalid_field(f"{place}[{int(wrong.argmax())}]", "another value", expected)
