"""Whose the rows of an ordinal are, after merges."""

from libc.stdint cimport int64_t, uint32_t

from segcore._columns cimport Uint32Column


cdef class Owners:
    cdef readonly bint merged
    cdef Uint32Column winners
    cdef Uint32Column following
    cdef Uint32Column last
    cdef int unite(self, uint32_t winner, uint32_t loser) except -1
    cdef int _grow(self, uint32_t ordinal) except -1

    cdef inline uint32_t owner(self, uint32_t ordinal) noexcept nogil:
        """Return the ordinal whose the rows are now: usually itself."""
        cdef uint32_t winner = self.winners.peek(ordinal)
        return winner if winner else ordinal

    cdef inline uint32_t next_member(self, uint32_t ordinal) noexcept nogil:
        """Return the next ordinal of the same owner, who is the first; 0 after the last."""
        return self.following.peek(ordinal)
