"""Rows that others follow, or do not, for all profiles at once."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef struct Step:               # a row, as far as it matters to what comes before or after it
    int64_t at_ms
    uint64_t row                # which one: none follows itself
    uint32_t owner
    uint32_t key                # 0 is missing


cdef class Steps:
    cdef Step* items
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef int add(self, const Step* step) except -1 nogil
    cdef int extend(self, Steps others) except -1 nogil
    cdef int sort(self) except -1 nogil
