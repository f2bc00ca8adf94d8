"""Values as the columns hold them, and the narrow columns of one field."""

from libc.stdint cimport INT32_MIN, int32_t, int64_t, uint8_t, uint32_t

from segcore._columns cimport Column
from segcore._program cimport MISSING
from segcore._texts cimport Texts

cdef enum KindCode:
    NUMBER = 0
    TEXT = 1
    FLAG = 2
    TIME = 3
    DATE = 4
    TEXTS = 5


cdef int64_t checked_time(object instant_ms, str what) except? -1
cdef int64_t encode_number(str name, double value) except? -1
cdef double decode_number(int64_t micro) noexcept
cdef int64_t encode_value(Texts texts, str name, object value, uint32_t* kind) except? -1
cdef object decode_value(Texts texts, uint32_t key, int64_t value)
cdef Column column_of_kind(uint32_t kind, object store, str name)
cdef int check_text_ids(str name, Column column, uint32_t least, Py_ssize_t most) except -1


cdef inline int64_t narrow_get(const char* data, uint32_t kind, Py_ssize_t place) noexcept nogil:
    """Return a value of a narrow column: texts are ids from 1, a flag is 1 for false, 2 for true."""
    cdef int64_t value
    if kind == TEXT or kind == TEXTS:
        value = (<const uint32_t*> data)[place]
        return value if value else MISSING
    if kind == FLAG:
        value = (<const uint8_t*> data)[place]
        return value - 1 if value else MISSING
    if kind == DATE:
        value = (<const int32_t*> data)[place]
        return value if value != INT32_MIN else MISSING
    return (<const int64_t*> data)[place]


cdef inline void narrow_put(char* data, uint32_t kind, Py_ssize_t place, int64_t value) noexcept nogil:
    if kind == TEXT or kind == TEXTS:
        (<uint32_t*> data)[place] = 0 if value == MISSING else <uint32_t> value
    elif kind == FLAG:
        (<uint8_t*> data)[place] = 0 if value == MISSING else <uint8_t> (value + 1)
    elif kind == DATE:
        (<int32_t*> data)[place] = INT32_MIN if value == MISSING else <int32_t> value
    else:
        (<int64_t*> data)[place] = value


cdef class FieldColumn:
    """The values of one property in the rows of one table, from row `base` on."""

    cdef readonly uint32_t key
    cdef readonly uint32_t kind
    cdef readonly Py_ssize_t base
    cdef readonly Column values
    cdef int _extend(self, Py_ssize_t end) except -1 nogil
    cdef void cut(self, Py_ssize_t row) noexcept nogil
    cdef int check(self, Texts texts, Py_ssize_t row_count) except -1

    cdef inline int64_t get(self, Py_ssize_t row) noexcept nogil:
        """Return the value of a row, MISSING where it has none."""
        cdef Py_ssize_t place = row - self.base
        if place < 0 or place >= self.values.size:
            return MISSING
        return narrow_get(self.values.data, self.kind, place)

    cdef inline int push(self, Py_ssize_t row, int64_t value) except -1 nogil:
        """Set the value of a row, the last that has one; what was skipped is missing."""
        cdef Py_ssize_t place = row - self.base
        if place != self.values.size or place >= self.values.capacity:
            self._extend(place)
        narrow_put(self.values.data, self.kind, place, value)
        self.values.size = place + 1
        return 0
