"""When and why people entered and left: rows that are only appended, each person's a chain."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from segcore._columns cimport ByteColumn, Int64Column, Uint32Column


cdef struct Move:
    # One row before it is kept.
    int64_t at_ms
    uint32_t ordinal
    uint32_t label
    uint32_t marks
    uint32_t cause


cdef class Journal:
    cdef readonly object store
    cdef Int64Column times
    cdef Uint32Column words
    cdef Uint32Column causes
    cdef Uint32Column people
    cdef Uint32Column previous
    cdef Int64Column text_ends
    cdef ByteColumn texts
    cdef ByteColumn sets
    cdef Uint32Column newest
    cdef Uint32Column numbers
    cdef Uint32Column slots
    cdef int make_room(self, Py_ssize_t count, uint32_t ordinal) except -1 nogil
    cdef int push(self, const Move* move) except -1 nogil
    cdef void chain(self, Py_ssize_t row) noexcept nogil
    cdef int _put(self, ByteColumn column, bytes content) except -1
    cdef bint _is_sound(self, Py_ssize_t row, Py_ssize_t event_count) noexcept nogil
