"""The attribute values of one partition: dense columns by ordinal, and all that they ever were."""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from segcore._bits cimport Bits
from segcore._columns cimport Column, Int64Column, Uint32Column
from segcore._keys cimport Keys
from segcore._owners cimport Owners
from segcore._program cimport MISSING
from segcore._texts cimport Texts
from segcore._values cimport TEXT, TEXTS, narrow_get


cdef class ValueColumn:
    """One attribute's values of one kind by ordinal; texts are codes of `width` bytes, 0 missing."""

    cdef readonly uint32_t key
    cdef readonly uint32_t kind
    cdef readonly bint coded
    cdef Column values
    cdef Uint32Column dictionary
    cdef Keys codes
    cdef int put(self, uint32_t ordinal, int64_t value) except -1 nogil
    cdef int _widen(self) except -1
    cdef int64_t _code(self, uint32_t text_id) except -1 nogil

    cdef inline int64_t get(self, Py_ssize_t ordinal) noexcept nogil:
        """Return the value of an ordinal, MISSING where it has none."""
        cdef uint32_t text_id
        if ordinal >= self.values.size:
            return MISSING
        if not self.coded:
            return narrow_get(self.values.data, self.kind, ordinal)
        text_id = self.dictionary.get(self.code(ordinal))
        return text_id if text_id else MISSING

    cdef inline uint32_t code(self, Py_ssize_t ordinal) noexcept nogil:
        """Return the code of a text; the dictionary's place of its id."""
        if self.values.item_bytes == 1:
            return (<const uint8_t*> self.values.data)[ordinal]
        if self.values.item_bytes == 2:
            return (<const uint16_t*> self.values.data)[ordinal]
        return (<const uint32_t*> self.values.data)[ordinal]


cdef class Journal:
    cdef Uint32Column ordinals
    cdef Uint32Column keys
    cdef Int64Column values
    cdef Int64Column as_of
    cdef Int64Column arrivals
    cdef Uint32Column came_with
    cdef Uint32Column previous
    cdef Uint32Column newest
    cdef Bits dead
    cdef readonly bint any_dead
    cdef Py_ssize_t append(
        self, uint32_t ordinal, uint32_t key, int64_t value, int64_t as_of_ms, int64_t arrival,
        uint32_t came_with
    ) except -1 nogil
    cdef int kill(self, Py_ssize_t row) except -1

    cdef inline bint is_dead(self, Py_ssize_t row) noexcept nogil:
        """Tell whether a change is nobody's any more."""
        return self.any_dead and self.dead.get(<uint32_t> row)

    cdef inline bint wins(self, Py_ssize_t left, Py_ssize_t right) noexcept nogil:
        """Tell whether the change `left` is in effect rather than `right`, both of one attribute."""
        if self.as_of.get(left) != self.as_of.get(right):
            return self.as_of.get(left) > self.as_of.get(right)
        if self.arrivals.get(left) != self.arrivals.get(right):
            return self.arrivals.get(left) > self.arrivals.get(right)
        return left > right


cdef class Attributes:
    cdef Texts texts
    cdef Owners owners
    cdef Journal journal
    cdef Keys names
    cdef list stamps
    cdef PyObject** stamp_pointers
    cdef Keys keys
    cdef list columns_by_place
    cdef PyObject** column_pointers
    cdef list encode(self, values)
    cdef bint put(
        self, uint32_t ordinal, uint32_t key, int64_t value, int64_t as_of_ms, int64_t arrival,
        uint32_t came_with
    ) except -1 nogil
    cdef bint _take(self, uint32_t ordinal, Py_ssize_t row) except -1 nogil
    cdef int _set(self, uint32_t ordinal, uint32_t key, int64_t value) except -1 nogil
    cdef Py_ssize_t _name_place(self, uint32_t name_id) except -1 nogil
    cdef int _add_name(self, uint32_t name_id) except -1
    cdef int _add_column(self, uint32_t key) except -1
    cdef int _clear(self, uint32_t ordinal) except -1
    cdef int unite(self, uint32_t winner, uint32_t loser) except -1
    cdef int drop(self, uint32_t ordinal) except -1
    cdef int _empty(self, Py_ssize_t place, uint32_t name_id) except -1
    cdef ValueColumn column(self, uint32_t key)

    cdef inline int64_t get(self, uint32_t ordinal, uint32_t key) noexcept nogil:
        """Return a value, MISSING where there is none of that name and kind."""
        cdef Py_ssize_t place = self.keys.find(key)
        if place < 0:
            return MISSING
        return (<ValueColumn> self.column_pointers[place]).get(ordinal)
