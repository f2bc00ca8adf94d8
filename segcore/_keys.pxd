"""A dictionary of 32-bit keys: each gets a place, dense from 0, in order of first use."""

from libc.stdint cimport uint32_t, uint64_t

from segcore._columns cimport Uint32Column


cdef inline uint32_t slot_of(uint32_t key) noexcept nogil:
    return <uint32_t> (key * <uint64_t> 0x9E3779B97F4A7C15ULL >> 32)


cdef class Keys:
    cdef Uint32Column keys
    cdef uint32_t* slots
    cdef uint32_t mask
    cdef Py_ssize_t add(self, uint32_t key) except -1
    cdef int _rehash(self, uint32_t slot_count) except -1
    cdef void _seat(self, Py_ssize_t place) noexcept

    cdef inline Py_ssize_t find(self, uint32_t key) noexcept nogil:
        """Return the place of a key, or -1."""
        cdef uint32_t slot = slot_of(key) & self.mask
        cdef uint32_t place
        while True:
            place = self.slots[slot]
            if place == 0:
                return -1
            if self.keys.get(place - 1) == key:
                return place - 1
            slot = (slot + 1) & self.mask
