"""The attribute values of one partition: one cell for each profile and attribute that was set."""

from libc.stdint cimport int64_t, uint32_t

from segcore._columns cimport Int64Column, Uint32Column
from segcore._texts cimport Texts


cdef class Attributes:
    cdef Texts texts
    cdef Uint32Column keys
    cdef Int64Column values
    cdef Int64Column as_of
    cdef Int64Column arrivals
    cdef Uint32Column next
    cdef Uint32Column first
    cdef list encode(self, values)
    cdef Py_ssize_t _find(self, uint32_t ordinal, uint32_t name_id) noexcept nogil
    cdef bint put(
        self, uint32_t ordinal, uint32_t key, int64_t value, int64_t as_of_ms, int64_t arrival
    ) except -1
    cdef int64_t get(self, uint32_t ordinal, uint32_t key) noexcept nogil
    cdef int unite(self, uint32_t winner, uint32_t loser) except -1
    cdef int drop(self, uint32_t ordinal) except -1
