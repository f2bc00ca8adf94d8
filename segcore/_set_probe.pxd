"""Whether one ordinal is in a set, asked of the set's portable bytes where they lie."""

from libc.stdint cimport uint8_t, uint32_t

cdef bint portable_has(const uint8_t* data, Py_ssize_t size, uint32_t ordinal) noexcept nogil
