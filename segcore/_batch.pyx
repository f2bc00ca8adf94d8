"""The events of one run in arrays: what decoders fill and `Engine.apply` takes.

A batch belongs to the texts of one engine: all its ids are ids there. It is filled and applied,
then filled again; its arrays keep their room.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, realloc

import numpy as np

from segcore.event_columns import Interned
from segcore.micro import TIME_LIMIT_MS
from segcore.rule import Kind

KINDS = (Kind.NUMBER, Kind.TEXT, Kind.FLAG, Kind.TIME, Kind.DATE, Kind.TEXTS)
KIND_CODES = {kind: code for code, kind in enumerate(KINDS)}
TEXT_CODES = (KIND_CODES[Kind.TEXT], KIND_CODES[Kind.TEXTS])
ORDINAL_LIMIT = 0xFFFFFFFE


cdef void* larger(void* array, Py_ssize_t room, size_t item_bytes) except NULL nogil:
    """Return `array` with room for more, moved or not."""
    cdef void* moved = realloc(array, room * item_bytes)
    if moved == NULL:
        with gil:
            raise MemoryError(f"no memory for a batch of {room} places")
    return moved


cdef class Batch:
    """Events as arrays. `texts` are those of the engine that is to take them."""

    def __cinit__(self, Texts texts not None):
        self.texts = texts
        self.memo = Memo(texts)
        self.begin(b"", NULL)

    def __dealloc__(self):
        free(self.rows)
        free(self.property_keys)
        free(self.property_values)
        free(self.skus)
        free(self.categories)
        free(self.brands)
        free(self.prices)
        free(self.quantities)

    def __len__(self):
        return self.size

    def origin(self, Py_ssize_t k):
        """Return (event id, trace context, index of the input) of event `k`."""
        cdef BatchRow* row = &self.rows[k]
        return (
            self.heap[row.id_start:row.id_start + row.id_length].decode(),
            self.heap[row.trace_start:row.trace_start + row.trace_length].decode(),
            row.index,
        )

    def extent(self):
        """Return the greatest ordinal and the latest log time of all events; (0, 0) of none."""
        cdef Py_ssize_t k
        cdef uint32_t ordinal = 0
        cdef int64_t log_ms = 0
        for k in range(self.size):
            ordinal = max(ordinal, self.rows[k].ordinal)
            log_ms = max(log_ms, self.rows[k].log_ms)
        return ordinal, log_ms

    cdef int begin(self, object payload, const char* heap) except -1:
        """Forget all rows; `heap` is where the ids of those to come lie, kept by `payload`."""
        self.payload = payload
        self.heap = heap
        self.size = 0
        self.property_count = 0
        self.item_count = 0
        return 0

    cdef int grow_rows(self) except -1 nogil:
        cdef Py_ssize_t room = max(256, self.row_room * 2)
        self.rows = <BatchRow*> larger(self.rows, room, sizeof(BatchRow))
        self.row_room = room
        return 0

    cdef int grow_properties(self) except -1 nogil:
        cdef Py_ssize_t room = max(1024, self.property_room * 2)
        self.property_keys = <uint32_t*> larger(self.property_keys, room, sizeof(uint32_t))
        self.property_values = <int64_t*> larger(self.property_values, room, sizeof(int64_t))
        self.property_room = room
        return 0

    cdef int grow_items(self) except -1 nogil:
        cdef Py_ssize_t room = max(1024, self.item_room * 2)
        self.skus = <uint32_t*> larger(self.skus, room, sizeof(uint32_t))
        self.categories = <uint32_t*> larger(self.categories, room, sizeof(uint32_t))
        self.brands = <uint32_t*> larger(self.brands, room, sizeof(uint32_t))
        self.prices = <int64_t*> larger(self.prices, room, sizeof(int64_t))
        self.quantities = <int64_t*> larger(self.quantities, room, sizeof(int64_t))
        self.item_room = room
        return 0

    @staticmethod
    def from_columns(Texts texts not None, columns):
        """Return the batch of `segcore.event_columns.EventColumns`.

        Raises ValueError for columns of other lengths and for what cannot be kept.
        """
        cdef Batch batch = Batch(texts)
        batch._fill(columns)
        return batch

    def _fill(self, columns):
        cdef Py_ssize_t count = len(columns.ordinals)
        cdef Py_ssize_t k
        cdef bytes ids = bytes(columns.ids)
        cdef const uint32_t[::1] ordinals = codes_of("ordinals", columns.ordinals, count)
        cdef const uint32_t[::1] types = self._texts("types", columns.types, count)
        cdef const uint32_t[::1] came_with = self._texts("came_with", columns.came_with, count)
        cdef const int64_t[::1] occurred = times_of("occurred_ms", columns.occurred_ms, count)
        cdef const int64_t[::1] received = times_of("received_ms", columns.received_ms, count)
        cdef const int64_t[::1] log_ms = times_of("log_ms", columns.log_ms, count)
        cdef const int64_t[::1] id_ends = ends_of("id_ends", columns.id_ends, count, len(ids))
        cdef Cells cells = Cells(self, columns.properties, count)
        cdef Lines lines = None if columns.items is None else Lines(self, columns.items, count)
        cdef BatchRow* row
        if count and (np.min(ordinals) < 1 or np.max(ordinals) > ORDINAL_LIMIT):
            raise ValueError(f"ordinals: expected 1 to {ORDINAL_LIMIT}, found others")
        self.begin(ids, <const char*> ids)
        with nogil:
            for k in range(count):
                row = self.next_row()
                row.ordinal = ordinals[k]
                row.type_id = types[k]
                row.came_with = came_with[k]
                row.index = <uint32_t> k
                row.occurred_ms = min(occurred[k], received[k])
                row.received_ms = received[k]
                row.log_ms = log_ms[k]
                row.id_start = id_ends[k - 1] if k else 0
                row.id_length = id_ends[k] - row.id_start
                row.trace_start = 0
                row.trace_length = 0
                cells.add(self, k)
                if lines is not None:
                    lines.add(self, k)
                self.end_row()

    def _texts(self, str what, column, Py_ssize_t count, bint optional=False):
        """Return the ids of a text column; 0 for a text that is not there."""
        found = self._interned(column.dictionary)
        codes = np.asarray(codes_of(what, column.codes, count))
        most = len(column.dictionary) - 1 + optional
        if count and codes.max() > most:
            raise ValueError(f"{what}: expected codes up to {most}, found {codes.max()}")
        return found[codes]

    @staticmethod
    def intern(Texts texts not None, values):
        """Return a dictionary of texts for many batches."""
        cdef list ids = [texts.intern(each) for each in values]
        return Interned(texts, np.array([*ids, 0], np.uint32))

    def _interned(self, dictionary):
        """Return the ids of a dictionary's texts, and 0 after them."""
        if not isinstance(dictionary, Interned):
            dictionary = Batch.intern(self.texts, dictionary)
        if dictionary.texts is not self.texts:
            raise ValueError("expected a dictionary of the batch's texts, found one of others")
        return dictionary.ids

    def to_rows(self):
        """Return each event as plain values, for tests; numbers as they are kept."""
        return [self._row(k) for k in range(self.size)]

    def _text(self, uint32_t text_id):
        return self.texts.text(text_id) if text_id else None

    def _row(self, Py_ssize_t k):
        cdef EventView view
        cdef Py_ssize_t place
        self.view(k, &view)
        return {
            "ordinal": view.ordinal,
            "index": self.rows[k].index,
            "type": self.texts.text(view.type_id),
            "came_with": self.texts.text(view.came_with),
            "occurred_ms": view.occurred_ms,
            "received_ms": view.received_ms,
            "log_ms": self.rows[k].log_ms,
            "event_id": view.id[:view.id_length].decode(),
            "traceparent": self.heap[
                self.rows[k].trace_start:self.rows[k].trace_start + self.rows[k].trace_length
            ].decode() if self.rows[k].trace_length else "",
            "properties": {
                self.texts.text(view.property_keys[place] >> 3): (
                    view.property_keys[place] & 7,
                    self.texts.text(<uint32_t> view.property_values[place])
                    if (view.property_keys[place] & 7) in TEXT_CODES
                    else view.property_values[place],
                )
                for place in range(view.property_count)
            },
            "items": [
                (
                    self._text(view.skus[place]),
                    self._text(view.categories[place]),
                    self._text(view.brands[place]),
                    view.prices[place],
                    view.quantities[place],
                )
                for place in range(view.item_count)
            ],
        }


cdef class Cells:
    """The property columns of a batch, side by side."""

    cdef Py_ssize_t count
    cdef uint32_t[::1] keys
    cdef const int64_t[:, ::1] values
    cdef const uint8_t[:, ::1] present

    def __cinit__(self, Batch batch, properties, Py_ssize_t rows):
        self.count = len(properties)
        if not self.count:
            return
        self.keys = np.array(
            [batch.texts.intern(it.name) << 3 | KIND_CODES[it.kind] for it in properties],
            np.uint32,
        )
        self.values = np.stack([property_values(batch, it, rows) for it in properties])
        self.present = np.stack([presence(it, rows) for it in properties])

    cdef int add(self, Batch batch, Py_ssize_t row) except -1 nogil:
        cdef Py_ssize_t place
        for place in range(self.count):
            if self.present[place, row]:
                batch.add_property(self.keys[place], self.values[place, row])
        return 0


cdef class Lines:
    """The item columns of a batch."""

    cdef const int64_t[::1] ends
    cdef const uint32_t[::1] skus
    cdef const uint32_t[::1] categories
    cdef const uint32_t[::1] brands
    cdef const int64_t[::1] prices
    cdef const int64_t[::1] quantities

    def __cinit__(self, Batch batch, items, Py_ssize_t rows):
        cdef Py_ssize_t lines = len(items.skus.codes)
        self.ends = ends_of("items.ends", items.ends, rows, lines)
        self.skus = batch._texts("items.skus", items.skus, lines)
        self.categories = batch._texts("items.categories", items.categories, lines, True)
        self.brands = batch._texts("items.brands", items.brands, lines, True)
        self.prices = numbers_of("items.prices", items.prices, lines)
        self.quantities = numbers_of("items.quantities", items.quantities, lines)

    cdef int add(self, Batch batch, Py_ssize_t row) except -1 nogil:
        cdef Py_ssize_t place
        for place in range(self.ends[row - 1] if row else 0, self.ends[row]):
            batch.add_item(
                self.skus[place],
                self.categories[place],
                self.brands[place],
                self.prices[place],
                self.quantities[place],
            )
        return 0


def property_values(Batch batch, column, Py_ssize_t rows):
    """Return the values of a property column as they are kept."""
    values = numbers_of(column.name, column.values, rows)
    if column.kind not in (Kind.TEXT, Kind.TEXTS):
        return values
    present = presence(column, rows).astype(bool)
    if present.any() and not (
        0 <= values[present].min() and values[present].max() < len(column.dictionary)
    ):
        raise ValueError(f"{column.name}: expected codes below {len(column.dictionary)}")
    found = batch._interned(column.dictionary).astype(np.int64)
    return found[np.where(present, values, 0)]


def presence(column, Py_ssize_t rows):
    """Return 1 for each row that has a value."""
    if column.present is None:
        return np.ones(rows, np.uint8)
    return checked(column.name, column.present, np.uint8, rows)


def checked(str what, values, kind, Py_ssize_t count):
    """Return an array in one piece; raises ValueError for another length."""
    array = np.ascontiguousarray(values, kind)
    if array.shape != (count,):
        raise ValueError(f"{what}: expected {count} values, found {array.shape}")
    return array


def codes_of(str what, values, Py_ssize_t count):
    return checked(what, values, np.uint32, count)


def numbers_of(str what, values, Py_ssize_t count):
    return checked(what, values, np.int64, count)


def times_of(str what, values, Py_ssize_t count):
    """Return instants; raises ValueError beyond TIME_LIMIT_MS."""
    array = numbers_of(what, values, count)
    if count and (array.max() > TIME_LIMIT_MS or array.min() < -TIME_LIMIT_MS):
        raise ValueError(f"{what}: expected instants within {TIME_LIMIT_MS} ms, found others")
    return array


def ends_of(str what, values, Py_ssize_t count, Py_ssize_t total):
    """Return where each row's part ends; raises ValueError unless they ascend to `total`."""
    array = numbers_of(what, values, count)
    last = array[count - 1] if count else 0
    if last != total or (count and array[0] < 0) or (np.diff(array) < 0).any():
        raise ValueError(f"{what}: expected ends that ascend to {total}")
    return array
