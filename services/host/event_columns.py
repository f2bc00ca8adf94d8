"""Events in columns for `ProfileService.Ingest`, from Python lists or NumPy arrays: for callers.

The type of a column's values says their kind; None, or NaT in an array, means that a row has none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.profile.v1 import columns_pb2
from coterie.type.v1 import value_pb2

NONE = 0xFFFFFFFF
NEVER = -(2**63)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FIRST_DAY = dt.date(1970, 1, 1)
MILLISECOND = dt.timedelta(milliseconds=1)

Values = Sequence[Any] | NDArray[Any]
"""One value a row."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of all events one after another; `counts` says how many each event has.

    A category, brand, price or quantity may be None: not said.
    """

    counts: Values
    skus: Values
    categories: Values | None = None
    brands: Values | None = None
    prices: Values | None = None
    quantities: Values | None = None


def event_columns(  # noqa: PLR0913  one argument a column
    event_ids: Sequence[str],
    types: str | Values,
    identities: Mapping[str, Values],
    *,
    occurred: Values | None = None,
    properties: Mapping[str, Values] | None = None,
    lines: Lines | None = None,
) -> columns_pb2.EventColumns:
    """Return the columns of events, one a row; `types` may be one for all.

    `occurred` holds milliseconds UTC, aware datetimes or `datetime64`. Properties are str, bool,
    int or float (a number), datetime, date, or a list of str. Raises ValueError for columns of
    other lengths, TypeError for values of another type or of two types.
    """
    count = len(event_ids)
    given = [types] * count if isinstance(types, str) else types
    columns = columns_pb2.EventColumns(
        row_count=count, event_ids=event_ids, types=_texts(given, count, "types")
    )
    for namespace, values in identities.items():
        columns.identities.add(namespace=namespace, values=_texts(values, count, namespace))
    if occurred is not None:
        columns.occurred_time_ms = _times(occurred, count, "occurred").tobytes()
    for name, values in (properties or {}).items():
        columns.properties.append(property_column(name, values, count))
    if lines is not None:
        columns.items.CopyFrom(_lines(lines, count))
    return columns


def property_column(name: str, values: Values, count: int) -> columns_pb2.PropertyColumn:
    """Return the column of one property; see `event_columns`."""
    column = columns_pb2.PropertyColumn(name=name)
    plain = _checked(values, count, name)
    present = np.fromiter((each is not None for each in plain), np.bool_, count)
    if not present.all():
        column.present = np.packbits(present, bitorder="little").tobytes()
    kinds = {_kind(each, name) for each in plain if each is not None} or {"texts"}
    if len(kinds) > 1:
        raise TypeError(f"{name}: expected values of one type, found {' and '.join(sorted(kinds))}")
    match kinds.pop():
        case "texts":
            column.texts.CopyFrom(_texts(plain, count, name))
        case "lists":
            column.lists.CopyFrom(_lists(plain))
        case "numbers":
            column.numbers = _numbers(plain, 0.0).tobytes()
        case "flags":
            column.flags = np.array([each is True for each in plain], np.uint8).tobytes()
        case "times_ms":
            column.times_ms = _times(plain, count, name).tobytes()
        case _:
            days = [0 if each is None else (each - FIRST_DAY).days for each in plain]
            column.dates = np.array(days, "<i4").tobytes()
    return column


def _kind(value: object, name: str) -> str:
    match value:
        case str():
            return "texts"
        case bool():
            return "flags"
        case int() | float():
            return "numbers"
        case dt.datetime():
            return "times_ms"
        case dt.date():
            return "dates"
        case list() | tuple():
            return "lists"
    raise TypeError(f"{name}: expected a plain value, found {type(value).__name__}")


def _lines(lines: Lines, count: int) -> columns_pb2.LineColumns:
    ends = np.cumsum(np.asarray(_checked(lines.counts, count, "lines.counts"), np.int64))
    total = int(ends[-1]) if count else 0
    column = columns_pb2.LineColumns(
        row_ends=ends.astype("<u4").tobytes(), skus=_texts(lines.skus, total, "lines.skus")
    )
    if lines.categories is not None:
        column.categories.CopyFrom(_texts(lines.categories, total, "lines.categories"))
    if lines.brands is not None:
        column.brands.CopyFrom(_texts(lines.brands, total, "lines.brands"))
    if lines.prices is not None:
        prices = _checked(lines.prices, total, "lines.prices")
        column.prices = _numbers(prices, np.nan).tobytes()
    if lines.quantities is not None:
        quantities = _checked(lines.quantities, total, "lines.quantities")
        column.quantities = _numbers(quantities, np.nan).tobytes()
    return column


def _checked(values: Values, count: int, what: str) -> list[Any]:
    """Return the values as plain ones, None for a date or time that is none."""
    if len(values) != count:
        raise ValueError(f"{what}: expected {count} values, found {len(values)}")
    if not isinstance(values, np.ndarray):
        return list(values)
    if values.dtype.kind != "M":
        plain: list[Any] = values.tolist()
        return plain
    if np.datetime_data(values.dtype)[0] == "D":
        return values.tolist()  # type: ignore[no-any-return]  # dates, and None for NaT
    instants = values.astype("datetime64[ms]").astype(np.int64).tolist()
    return [None if each == NEVER else EPOCH + each * MILLISECOND for each in instants]


def _texts(values: Values, count: int, what: str) -> columns_pb2.TextColumn:
    """Return texts with the dictionary of those that there are, in order of first use."""
    places: dict[str, int] = {}
    codes = [
        NONE if each is None else places.setdefault(each, len(places))
        for each in _checked(values, count, what)
    ]
    return columns_pb2.TextColumn(values=places, codes=np.array(codes, "<u4").tobytes())


def _lists(values: Iterable[Sequence[str] | None]) -> columns_pb2.TextsColumn:
    places: dict[tuple[str, ...], int] = {}
    codes = [
        NONE if each is None else places.setdefault(tuple(each), len(places)) for each in values
    ]
    return columns_pb2.TextsColumn(
        values=[value_pb2.Texts(values=each) for each in places],
        codes=np.array(codes, "<u4").tobytes(),
    )


def _numbers(values: Sequence[float | None], missing: float) -> NDArray[np.float64]:
    return np.array([missing if each is None else each for each in values], "<f8")


def _times(values: Values, count: int, what: str) -> NDArray[np.int64]:
    """Return milliseconds, NEVER for None."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        values = values.astype("datetime64[ms]").astype(np.int64)
    return np.array([_time(each, what) for each in _checked(values, count, what)], "<i8")


def _time(value: object, what: str) -> int:
    match value:
        case None:
            return NEVER
        case dt.datetime() if value.tzinfo is not None:
            return (value - EPOCH) // MILLISECOND
        case int():
            return value
    raise TypeError(f"{what}: expected milliseconds or an aware datetime, found another")
