"""One audience: its rule over signals, and the signal that it is."""

from libc.stdint cimport int32_t, uint32_t

from segcore._bits cimport Bits
from segcore._logic cimport Logic, Signal


cdef class Audience:
    cdef readonly str audience_id
    cdef readonly uint32_t version
    cdef readonly object rule
    cdef readonly uint32_t rank
    cdef readonly Signal signal
    cdef readonly Bits members
    cdef readonly Logic logic
    cdef readonly list nodes
    cdef readonly list parents
    cdef readonly bint active
    cdef readonly bint at_birth
    cdef inline bint has(self, uint32_t ordinal) noexcept nogil:
        """Tell whether the profile is a member."""
        return self.signal.get(ordinal)

    cdef inline int place(self, uint32_t ordinal, bint member) except -1 nogil:
        """Let a profile in or out; nobody is queued by it."""
        self.members.put(ordinal, member)
        return self.signal.truth.put(ordinal, self.signal.column, member)

    cdef int evaluate_all(self, Bits known, Bits members) except -1 nogil
    cdef int take(self, Bits members) except -1
