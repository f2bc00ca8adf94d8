"""The ids of short texts that came lately, one cache line away."""

from libc.stdint cimport uint32_t, uint64_t

from segcore._text_hash cimport Spelled, Text
from segcore._texts cimport Texts

cdef enum:
    MEMO_BITS = 14


cdef struct MemoEntry:      # 32 bytes: two to a cache line
    Spelled words
    uint32_t length
    uint32_t text_id        # 0: nothing is kept here


cdef struct Label:          # a text that is looked up, and may not have an id yet
    Text text
    uint64_t hash
    uint32_t text_id        # 0: the memo does not have it


cdef class Memo:
    cdef Texts texts
    cdef MemoEntry* entries
    cdef uint64_t empty_hash
    cdef bint look_up(self, Label* label, bint near) noexcept nogil
    cdef uint32_t keep(self, const Label* label) except 0 nogil

    cdef inline MemoEntry* place_of(self, uint64_t hash) noexcept nogil:
        """Return where a text would be."""
        return &self.entries[hash >> (64 - MEMO_BITS)]

    cdef inline void make_empty(self, Label* label, const void* somewhere) noexcept nogil:
        """Make the text of a field that is not there: it has to lie somewhere."""
        label.text.data = <const char*> somewhere
        label.text.length = 0
        label.hash = self.empty_hash
        label.text_id = 0

    cdef inline uint32_t intern(self, const Label* label) except 0 nogil:
        """Return the id of a text that was looked up, new or not; it is UTF-8 without U+0000."""
        return label.text_id if label.text_id else self.keep(label)
