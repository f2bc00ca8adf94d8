"""The dictionary of texts: each distinct text has one id, dense from 1."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from segcore._columns cimport ByteColumn, Int64Column
from segcore._prefetch cimport prefetch


cdef class Texts:
    cdef ByteColumn arena
    cdef Int64Column ends
    cdef uint32_t* slots
    cdef uint64_t mask
    cdef int _rehash(self, uint64_t slot_count) except -1 nogil
    cdef int _forget(self, Py_ssize_t count) except -1

    cdef inline Py_ssize_t count(self) noexcept nogil:
        """Return how many texts there are."""
        return self.ends.size - 1 if self.ends.size else 0

    cdef inline int forget(self, Py_ssize_t count) except -1:
        """Keep the first `count` texts only; O(texts forgotten)."""
        if self.count() > count:
            self._forget(count)
        return 0

    cdef uint32_t find(self, const char* data, Py_ssize_t length, uint64_t hash) noexcept nogil
    cdef uint32_t intern(self, str text) except 0
    cdef uint32_t intern_bytes(self, const char* data, Py_ssize_t length) except 0 nogil
    cdef uint32_t intern_hashed(
        self, const char* data, Py_ssize_t length, uint64_t hash
    ) except 0 nogil
    cdef int64_t derive(self, const char* data, Py_ssize_t length) noexcept nogil
    cdef int64_t id_of(self, str text) except -1
    cdef str text(self, uint32_t text_id)
    cdef int compare(self, uint32_t left, uint32_t right) noexcept nogil
    cdef bint starts_with(self, uint32_t text_id, uint32_t argument) noexcept nogil
    cdef bint ends_with(self, uint32_t text_id, uint32_t argument) noexcept nogil
    cdef bint contains(self, uint32_t text_id, uint32_t argument) noexcept nogil

    # Each step of a look-up may be a miss. These bring one near, each after the one before it:
    # whoever has many texts to look up takes each step for all of them, or for those to come.

    cdef inline void fetch_slot(self, uint64_t hash) noexcept nogil:
        prefetch(&self.slots[hash & self.mask])

    cdef inline void fetch_end(self, uint64_t hash) noexcept nogil:
        cdef uint32_t text_id = self.slots[hash & self.mask]
        if text_id:
            prefetch(self.ends.data + (text_id - 1) * sizeof(int64_t))

    cdef inline void fetch_text(self, uint64_t hash) noexcept nogil:
        cdef uint32_t text_id = self.slots[hash & self.mask]
        if text_id:
            prefetch(self.arena.data + self.ends.get(text_id - 1))
