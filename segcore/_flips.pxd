"""Who entered or left which audience, as columns while the engine works."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef struct Flip:
    int64_t at_ms
    uint32_t rank
    uint32_t ordinal
    int32_t event
    uint8_t entered
    uint8_t clock


cdef class Flips:
    cdef Flip* flips
    cdef Py_ssize_t count
    cdef Py_ssize_t capacity
    cdef int add(
        self, uint32_t rank, uint32_t ordinal, bint entered, int64_t at_ms, bint clock,
        int32_t event
    ) except -1 nogil
