"""The ids of short texts that came lately, one cache line away."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from segcore._text_hash cimport hash_bytes, prefetch
from segcore._texts cimport Texts

cdef enum:
    MEMO_BITS = 14
    MEMO_BYTES = 24         # the longest text that is kept


cdef struct MemoEntry:      # 32 bytes: two to a cache line
    uint64_t first
    uint64_t middle
    uint64_t last
    uint32_t length
    uint32_t text_id        # 0: nothing is kept here


cdef inline void spell(const char* data, Py_ssize_t length, MemoEntry* out) noexcept nogil:
    """Write a text of at most MEMO_BYTES as three words that, with its length, are it alone."""
    cdef uint32_t head = 0
    cdef uint32_t tail = 0
    out.first = out.middle = out.last = 0
    out.length = <uint32_t> length
    if length >= 8:
        memcpy(&out.first, data, 8)
        memcpy(&out.last, data + length - 8, 8)
        if length > 16:
            memcpy(&out.middle, data + 8, 8)
    elif length >= 4:
        memcpy(&head, data, 4)
        memcpy(&tail, data + length - 4, 4)
        out.first = <uint64_t> head << 32 | tail
    elif length:
        # The first byte, the middle one and the last: all that there are.
        out.first = (
            <uint64_t> (<const unsigned char*> data)[0] << 16
            | <uint64_t> (<const unsigned char*> data)[length >> 1] << 8
            | (<const unsigned char*> data)[length - 1]
        )


cdef class Memo:
    cdef Texts texts
    cdef MemoEntry* entries

    cdef inline MemoEntry* place_of(self, const MemoEntry* wanted) noexcept nogil:
        """Return where a text would be."""
        cdef uint64_t mixed = (wanted.first ^ wanted.length) * 0x9E3779B97F4A7C15ULL
        mixed = (mixed ^ mixed >> 32 ^ wanted.middle) * 0xD6E8FEB86659FD93ULL
        mixed = (mixed ^ mixed >> 32 ^ wanted.last) * 0x9E3779B97F4A7C15ULL
        return &self.entries[mixed >> (64 - MEMO_BITS)]

    cdef inline void look_ahead(self, const char* data, Py_ssize_t length) noexcept nogil:
        """Bring near what `intern` will look at."""
        cdef MemoEntry wanted
        if length <= MEMO_BYTES:
            spell(data, length, &wanted)
            prefetch(self.place_of(&wanted))
        prefetch(&self.texts.slots[hash_bytes(data, length) & self.texts.mask])

    cdef inline uint32_t intern(self, const char* data, Py_ssize_t length) except 0 nogil:
        """Return the id of a text, new or not; it is UTF-8 without U+0000."""
        cdef MemoEntry wanted
        cdef MemoEntry* entry
        if length > MEMO_BYTES:
            return self.texts.intern_bytes(data, length)
        spell(data, length, &wanted)
        entry = self.place_of(&wanted)
        if (
            entry.text_id
            and entry.first == wanted.first
            and entry.last == wanted.last
            and entry.middle == wanted.middle
            and entry.length == wanted.length
        ):
            return entry.text_id
        wanted.text_id = self.texts.intern_bytes(data, length)
        entry[0] = wanted
        return wanted.text_id
