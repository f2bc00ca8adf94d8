"""Events in columns straight to a record of the inbound log, where every row is plainly right.

What is the same for many rows is checked once: texts by their dictionary, numbers as arrays. A row
of which that says "no" is made a message and checked like any input, for the very same refusal;
where that takes it all the same, or anything is unusual, all rows go that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie.profile.v1 import columns_pb2
from segcore._event_writer import FixedPart, LinesPart, Part, TextPart, TimePart, write_pack
from segcore.rule import NUMBER_LIMIT
from services.profile import columns as shape
from services.profile import limits
from services.profile.checks import DeclaredKinds

Truths = NDArray[np.bool_]
EVENT_TYPE, IDENTITY, PRIMARY, OCCURRED, PROPERTY = 0x12, 0x1A, 0x22, 0x2A, 0x3A
VALUE, VALUE_TEXT, VALUE_TIME, VALUE_DATE, VALUE_TEXTS = 0x12, 0x0A, 0x22, 0x2A, 0x32
SKU, CATEGORY, BRAND = 0x0A, 0x22, 0x2A
PRICE, QUANTITY = b"\x19", b"\x11"
"""Tags of the fields of an event, a value and a line, as they stand in its bytes."""

_KINDS = {
    "texts": "text",
    "lists": "texts",
    "numbers": "number",
    "flags": "flag",
    "times_ms": "time",
    "dates": "date",
}
"""What a value is called in a schema, by the field of its column."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a batch as parts to write, and which of them are plainly right."""

    ids: bytes
    id_ends: NDArray[np.int64]
    parts: list[Part]
    sound: Truths

    def payload(self, received_ms: int, traceparent: str) -> bytes:
        """Return the record of all sound rows, empty for none."""
        taken = self.sound.astype(np.uint8)
        trace = traceparent.encode()
        return write_pack(self.ids, self.id_ends, taken, received_ms, trace, self.parts)


def sheet(columns: columns_pb2.EventColumns, received_ms: int, declared: DeclaredKinds) -> Sheet:
    """Return what is to be written; raises InvalidArgument for columns of a wrong form."""
    shape.check_rows(columns)
    ids = _Texts(columns.event_ids)
    writer = _Writer(columns.row_count, declared)
    writer.sound &= ids.fitting(1, limits.ID_LENGTH)
    writer.add_types(columns.types)
    writer.add_identities(columns)
    writer.add_times(columns.occurred_time_ms, received_ms)
    shape.check_names(columns.properties)
    for index, column in enumerate(columns.properties):
        writer.add_property(column, f"columns.properties[{index}]")
    if columns.HasField("items"):
        writer.add_lines(columns.items)
    return Sheet(ids.heap, ids.ends, writer.parts, writer.sound)


class _Texts:
    """Texts end to end as UTF-8, with their lengths in characters."""

    def __init__(self, values: Iterable[str]) -> None:
        texts = list(values)
        joined = "".join(texts)
        self.heap = joined.encode()
        self.lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        sizes = self.lengths
        if len(self.heap) != len(joined):
            sizes = np.fromiter((len(text.encode()) for text in texts), np.int64, len(texts))
        self.ends = np.cumsum(sizes)
        self._clean = np.ones(len(texts), np.bool_)
        if "\0" in joined:
            self._clean = np.array(["\0" not in text for text in texts], np.bool_)

    def fitting(self, least: int, most: int) -> Truths:
        """Return which have so many characters, none of them U+0000."""
        within: Truths = (self.lengths >= least) & (self.lengths <= most) & self._clean
        return within


class _Writer:
    """Collects the parts of an event, column by column."""

    def __init__(self, count: int, declared: DeclaredKinds) -> None:
        self.sound: Truths = np.ones(count, np.bool_)
        self.parts: list[Part] = []
        self._everywhere: Truths = np.ones(count, np.bool_)
        self._declared = declared

    def add_types(self, column: columns_pb2.TextColumn) -> None:
        distinct = len(column.values)
        codes = shape.codes_of(column.codes, distinct, self._everywhere, "columns.types")
        self.sound &= _looked_up([limits.is_token(each) for each in column.values], codes)
        texts = _Texts(column.values)
        self.parts.append(TextPart(codes, texts.heap, texts.ends, EVENT_TYPE))

    def add_identities(self, columns: columns_pb2.EventColumns) -> None:
        shape.check_most(len(columns.identities), limits.IDENTITIES, "columns.identities")
        anybody = ~self._everywhere
        first = ~self._everywhere
        for place, column in enumerate(columns.identities):
            where = f"columns.identities[{place}].values"
            codes = self._optional(column.values, where)
            texts = _Texts(column.values.values)
            named = codes != shape.NONE
            anybody |= named
            if column.namespace == columns.primary_namespace:
                first |= named
            fine = _looked_up(texts.fitting(1, limits.IDENTITY_LENGTH), codes)
            self.sound &= ~named | (fine & limits.is_token(column.namespace))
            prefix = _field(0x0A, column.namespace.encode())
            self.parts.append(
                TextPart(codes, texts.heap, texts.ends, 0x12, outer=IDENTITY, prefix=prefix)
            )
        self.sound &= anybody
        if columns.primary_namespace:
            self.sound &= first
            self._add_constant(_field(PRIMARY, columns.primary_namespace.encode()))

    def add_times(self, content: bytes, received_ms: int) -> None:
        if not content:
            return
        times, said = shape.times_of(content, len(self.sound), "columns.occurred_time_ms")
        self.sound &= ~said | (times <= received_ms + limits.FUTURE_MS)
        self.parts.append(TimePart(times, said.astype(np.uint8), OCCURRED))

    def add_property(self, column: columns_pb2.PropertyColumn, place: str) -> None:
        present = shape.bits_of(column.present, len(self.sound), f"{place}.present")
        kind = shape.kind_of(column, place)
        prefix = _field(0x0A, column.name.encode())
        match kind:
            case "texts" | "lists":
                fine = self._add_texts(column, kind, present, prefix, f"{place}.{kind}")
            case "numbers":
                numbers = shape.array_of(column.numbers, "<f8", len(present), f"{place}.numbers")
                fine = np.abs(numbers) <= NUMBER_LIMIT
                self._add_fixed(prefix + b"\x12\x09\x11", numbers, present)
            case "flags":
                flags = shape.flags_of(column.flags, present, f"{place}.flags")
                fine = self._everywhere
                self._add_fixed(prefix + b"\x12\x02\x18", flags, present)
            case "times_ms":
                times = shape.present_times(column.times_ms, present, f"{place}.times_ms")
                fine = self._everywhere
                mask = present.astype(np.uint8)
                self.parts.append(
                    TimePart(times, mask, VALUE_TIME, wrap=VALUE, outer=PROPERTY, prefix=prefix)
                )
            case _:
                fine = self._everywhere
                self._add_dates(column.dates, present, prefix, f"{place}.dates")
        if not self._is_free(column.name, _KINDS[kind]):
            fine = ~self._everywhere
        self.sound &= ~present | fine

    def _is_free(self, name: str, kind: str) -> bool:
        """Return whether a property of this kind may be called that."""
        wanted = self._declared.properties.get(name)
        if wanted is not None:
            return wanted == kind
        return 0 < len(name) <= limits.NAME_LENGTH and "\0" not in name

    def _add_texts(
        self,
        column: columns_pb2.PropertyColumn,
        kind: str,
        present: Truths,
        prefix: bytes,
        place: str,
    ) -> Truths:
        """Add texts or lists of them; return which rows are within the limits."""
        if kind == "texts":
            codes = shape.codes_of(column.texts.codes, len(column.texts.values), present, place)
            texts = _Texts(column.texts.values)
            heap, ends, tag = texts.heap, texts.ends, VALUE_TEXT
            fitting = texts.fitting(0, limits.TEXT_LENGTH)
        else:
            codes = shape.codes_of(column.lists.codes, len(column.lists.values), present, place)
            lists = [each.SerializeToString() for each in column.lists.values]
            heap, tag = b"".join(lists), VALUE_TEXTS
            ends = np.cumsum(np.fromiter(map(len, lists), np.int64, len(lists)))
            fitting = np.array([_is_list(each.values) for each in column.lists.values], np.bool_)
        codes = np.where(present, codes, shape.NONE).astype(np.uint32)
        self.parts.append(
            TextPart(codes, heap, ends, tag, wrap=VALUE, outer=PROPERTY, prefix=prefix)
        )
        return _looked_up(fitting, codes)

    def _add_dates(self, content: bytes, present: Truths, prefix: bytes, place: str) -> None:
        days = shape.days_of(content, present, place)
        distinct, places = np.unique(np.where(present, days, 0), return_inverse=True)
        dates = [shape.date_of(day).SerializeToString() for day in distinct.tolist()]
        ends = np.cumsum(np.fromiter(map(len, dates), np.int64, len(dates)))
        codes = np.where(present, places, shape.NONE).astype(np.uint32)
        self.parts.append(
            TextPart(
                codes, b"".join(dates), ends, VALUE_DATE, wrap=VALUE, outer=PROPERTY, prefix=prefix
            )
        )

    def add_lines(self, lines: columns_pb2.LineColumns) -> None:
        ends, counts = shape.ends_of(lines, len(self.sound))
        rows = np.repeat(np.arange(len(counts)), counts)
        self.sound &= counts <= limits.ITEMS
        total = len(rows)
        everywhere = np.ones(total, np.bool_)
        distinct = len(lines.skus.values)
        codes = shape.codes_of(lines.skus.codes, distinct, everywhere, "columns.items.skus")
        skus = _Texts(lines.skus.values)
        fine = _looked_up(skus.fitting(1, limits.ID_LENGTH), codes)
        parts: list[Part] = [TextPart(codes, skus.heap, skus.ends, SKU)]
        for name, tag, column in (
            ("categories", CATEGORY, lines.categories),
            ("brands", BRAND, lines.brands),
        ):
            if lines.HasField(name):  # type: ignore[arg-type]  # one of the two names
                codes = shape.codes_of(
                    column.codes, len(column.values), everywhere, f"columns.items.{name}", none=True
                )
                texts = _Texts(column.values)
                named = _looked_up(texts.fitting(0, limits.LABEL_LENGTH), codes)
                fine &= named | (codes == shape.NONE)
                parts.append(TextPart(codes, texts.heap, texts.ends, tag))
        for name, head, content in (
            ("prices", PRICE, lines.prices),
            ("quantities", QUANTITY, lines.quantities),
        ):
            if content:
                numbers = shape.array_of(content, "<f8", total, f"columns.items.{name}")
                said = ~np.isnan(numbers)
                fine &= ~said | (np.abs(numbers) <= NUMBER_LIMIT)
                parts.append(FixedPart(head, _bytes_of(numbers), said.astype(np.uint8)))
        self.sound[rows[~fine]] = False
        self.parts.append(LinesPart(ends, parts))

    def _optional(self, column: columns_pb2.TextColumn, place: str) -> NDArray[np.uint32]:
        distinct = len(column.values)
        return shape.codes_of(column.codes, distinct, self._everywhere, place, none=True)

    def _add_fixed(self, head: bytes, values: NDArray[np.generic], present: Truths) -> None:
        raw = _bytes_of(values)
        content = _length(len(head) + raw.shape[1])
        head = bytes([PROPERTY]) + content + head
        self.parts.append(FixedPart(head, raw, present.astype(np.uint8)))

    def _add_constant(self, content: bytes) -> None:
        count = len(self.sound)
        self.parts.append(
            FixedPart(content, np.zeros((count, 0), np.uint8), np.ones(count, np.uint8))
        )


def _looked_up(fine: Sequence[bool] | Truths, codes: NDArray[np.uint32]) -> Truths:
    """Return for each code what its text is; False for none."""
    found = np.append(np.asarray(fine, np.bool_), False)
    looked: Truths = found[np.minimum(codes, len(found) - 1)]
    return looked


def _is_list(texts: Sequence[str]) -> bool:
    """Return whether texts may be the value of a property."""
    return (
        len(texts) <= limits.TEXTS
        and sum(map(len, texts)) <= limits.TEXTS_TOTAL
        and all(len(each) <= limits.TEXTS_LENGTH for each in texts)
        and not any("\0" in each or limits.SEPARATOR in each for each in texts)
    )


def _bytes_of(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return the bytes of each value, a row each."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _length(length: int) -> bytes:
    found = bytearray()
    while length > 0x7F:  # noqa: PLR2004  seven bits a byte
        found.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*found, length])


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _length(len(content)) + content
