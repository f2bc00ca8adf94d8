"""A dictionary of 32-bit keys: each gets a place, dense from 0, in order of first use."""

from libc.stdlib cimport calloc, free


cdef class Keys:
    """Open addressing, at most half full; keys are never taken out."""

    def __cinit__(self):
        self.keys = Uint32Column()
        self._rehash(16)

    def __dealloc__(self):
        free(self.slots)

    def __len__(self):
        return self.keys.size

    cdef int _rehash(self, uint32_t slot_count) except -1:
        """Lay the table out anew with `slot_count` slots, a power of two."""
        cdef uint32_t* slots = <uint32_t*> calloc(slot_count, sizeof(uint32_t))
        cdef Py_ssize_t place
        if slots == NULL:
            raise MemoryError(f"no memory for {slot_count} keys")
        free(self.slots)
        self.slots = slots
        self.mask = slot_count - 1
        for place in range(self.keys.size):
            self._seat(place)
        return 0

    cdef void _seat(self, Py_ssize_t place) noexcept:
        cdef uint32_t slot = slot_of(self.keys.get(place)) & self.mask
        while self.slots[slot]:
            slot = (slot + 1) & self.mask
        self.slots[slot] = <uint32_t> (place + 1)

    cdef Py_ssize_t add(self, uint32_t key) except -1:
        """Return the place of a key, new or not."""
        cdef Py_ssize_t place = self.find(key)
        if place >= 0:
            return place
        self.keys.append(key)
        if <uint32_t> self.keys.size * 2 > self.mask:
            self._rehash((self.mask + 1) * 2)
        else:
            self._seat(self.keys.size - 1)
        return self.keys.size - 1
