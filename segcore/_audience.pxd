"""One audience: its program, and a byte for each profile."""

from libc.stdint cimport int32_t, uint32_t

from segcore._columns cimport ByteColumn
from segcore._program cimport Program


cdef class Audience:
    cdef readonly str audience_id
    cdef readonly uint32_t version
    cdef readonly object rule
    cdef readonly int32_t rank
    cdef readonly bint active
    cdef bint queued
    cdef bint at_birth
    cdef Program program
    cdef ByteColumn members
    cdef readonly list leaves
    cdef readonly list parents
    cdef readonly list children

    cdef inline bint has(self, uint32_t ordinal) noexcept nogil:
        return self.members.peek(ordinal)

    cdef int put(self, uint32_t ordinal, bint member) except -1 nogil
    cdef object ordinals(self)
