"""Values as the columns hold them, and the narrow columns of one field.

A value of a kernel is 64 bits; a column keeps as many as its kind needs: 32 for the id of a text
and for a date, 8 for a flag. 0 is a missing text and a missing flag, INT32_MIN a missing date.
"""

from datetime import date

from libc.math cimport INFINITY, llrint, nextafter

from segcore._columns cimport ByteColumn, Int32Column, Int64Column, Uint32Column

from segcore.micro import INT64_MAX, TIME_LIMIT_MS
from segcore.rule import NUMBER_LIMIT

cdef double LIMIT = NUMBER_LIMIT
cdef int64_t TIME_LIMIT = TIME_LIMIT_MS
cdef int64_t EPOCH_DAY = date(1970, 1, 1).toordinal()
cdef str UNIT_END = "\x1f"
"""Ends each text of a list in the one text that the list is kept as."""


cdef int64_t checked_time(object instant_ms, str what) except? -1:
    """Return an instant; raises ValueError beyond TIME_LIMIT_MS."""
    if not -TIME_LIMIT <= instant_ms <= TIME_LIMIT:
        raise ValueError(f"{what}: expected an instant within {TIME_LIMIT} ms, found {instant_ms}")
    return instant_ms


cdef int64_t encode_number(str name, double value) except? -1:
    """Return `value` in millionths; the rounding is that of `micro.from_float`."""
    if not -LIMIT <= value <= LIMIT:
        raise ValueError(f"{name}: expected a number within {NUMBER_LIMIT}, found {value!r}")
    return llrint(value * 1e6)


cdef double decode_number(int64_t micro) noexcept:
    """Return a float that comes in as `micro`: the nearest may not, above two billion."""
    cdef double value = micro / 1e6
    if llrint(value * 1e6) > micro:
        return nextafter(value, -INFINITY)
    if llrint(value * 1e6) < micro:
        return nextafter(value, INFINITY)
    return value


cdef int64_t encode_value(Texts texts, str name, object value, uint32_t* kind) except? -1:
    """Return a value as it is kept, and its kind; raises ValueError for what cannot be kept."""
    if isinstance(value, str):
        kind[0] = TEXT
        return texts.intern(value)
    if isinstance(value, float):
        kind[0] = NUMBER
        return encode_number(name, value)
    if isinstance(value, bool):
        kind[0] = FLAG
        return 1 if value else 0
    if isinstance(value, int):
        kind[0] = TIME
        if not -INT64_MAX <= value <= INT64_MAX:
            raise ValueError(f"{name}: expected an instant of 64 bits, found {value}")
        return value
    if type(value) is date:
        kind[0] = DATE
        return value.toordinal() - EPOCH_DAY
    if isinstance(value, tuple):
        kind[0] = TEXTS
        return texts.intern(joined(name, value))
    raise ValueError(
        f"{name}: expected a float, int, bool, str, date or tuple, found {type(value).__name__}"
    )


cdef str joined(str name, tuple values):
    """Return a list of texts as one text."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{name}: expected texts, found {type(value).__name__}")
        if UNIT_END in value:
            raise ValueError(f"{name}: expected texts without U+001F, found one with it")
    return "".join([value + UNIT_END for value in values])


cdef object decode_value(Texts texts, uint32_t key, int64_t value):
    """Return the Python value of a stored one."""
    cdef uint32_t kind = key & 7
    if kind == NUMBER:
        return decode_number(value)
    if kind == TEXT:
        return texts.text(<uint32_t> value)
    if kind == DATE:
        return date.fromordinal(value + EPOCH_DAY)
    if kind == TEXTS:
        parts = texts.text(<uint32_t> value).split(UNIT_END)
        return tuple(parts[:len(parts) - 1])
    return bool(value) if kind == FLAG else value


cdef dict WIDTHS = {
    NUMBER: Int64Column, TEXT: Uint32Column, FLAG: ByteColumn,
    TIME: Int64Column, DATE: Int32Column, TEXTS: Uint32Column,
}


cdef Column column_of_kind(uint32_t kind, object store, str name):
    """Return a new column as narrow as the kind allows."""
    return store.open(name, WIDTHS[kind])


cdef int check_text_ids(str name, Column column, uint32_t least, Py_ssize_t most) except -1:
    """Raise ValueError unless all ids of a column of 32 bits are from `least` to `most`."""
    cdef const uint32_t* ids = <const uint32_t*> column.data
    cdef Py_ssize_t index
    for index in range(column.size):
        if not least <= ids[index] <= most:
            raise ValueError(f"{name}: expected ids of {most} texts, found {ids[index]}")
    return 0


cdef class FieldColumn:
    """Rows before `base` and after the last that had a value are missing, and take no room."""

    def __cinit__(self, uint32_t key, Py_ssize_t base, store, str name):
        self.key = key
        self.kind = key & 7
        self.base = base
        self.values = column_of_kind(self.kind, store, name)

    cdef int _extend(self, Py_ssize_t end) except -1 nogil:
        """Make room for a value at `end`; what lies before it and has none is missing."""
        cdef Py_ssize_t place = self.values.size
        self.values.reserve(end + 1)
        if end > place:
            self.values.resize(end)
            for place in range(place, end):
                narrow_put(self.values.data, self.kind, place, MISSING)
        return 0

    cdef void cut(self, Py_ssize_t row) noexcept nogil:
        """Forget the values from `row` on."""
        self.values.size = min(self.values.size, max(row - self.base, <Py_ssize_t> 0))

    cdef int check(self, Texts texts, Py_ssize_t row_count) except -1:
        """Raise ValueError where the column is too long, or holds what no value of its kind is."""
        cdef Py_ssize_t index
        cdef uint32_t most = len(texts)
        if not 0 < self.key >> 3 <= most or self.kind > TEXTS:
            raise ValueError(f"properties: expected a field, found the key {self.key}")
        if not 0 <= self.base < self.base + self.values.size <= row_count:
            raise ValueError(
                f"properties: expected values of {row_count} rows, "
                f"found {self.values.size} from {self.base} on"
            )
        if self.kind == TEXT or self.kind == TEXTS:
            check_text_ids("properties", self.values, 0, most)
        if self.kind == FLAG:
            for index in range(self.values.size):
                if (<const uint8_t*> self.values.data)[index] > 2:
                    raise ValueError("properties: expected flags, found another byte")
        return 0
