"""The next instant for each (profile, leaf): a binary heap."""

from libc.stdint cimport int64_t, uint32_t

cdef struct Timer:
    int64_t due_ms
    uint32_t ordinal
    uint32_t leaf


cdef class Timers:
    cdef Timer* heap
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef int push(self, int64_t due_ms, uint32_t ordinal, uint32_t leaf) except -1 nogil
    cdef Timer pop(self) noexcept nogil
