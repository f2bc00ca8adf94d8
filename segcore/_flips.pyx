"""Who entered or left which audience, as columns while the engine works."""

from libc.stdlib cimport free, realloc

import numpy as np

RECORD = np.dtype([
    ("at_ms", "i8"), ("rank", "u4"), ("ordinal", "u4"), ("event", "i4"), ("entered", "u1"),
    ("clock", "u1"),
], align=True)
"""One flip as NumPy sees it: `event` is the place in the batch, -1 for what no event caused."""


cdef class Flips:
    """A growing list of flips, in the order in which they happened."""

    def __dealloc__(self):
        free(self.flips)

    cdef int add(
        self, uint32_t rank, uint32_t ordinal, bint entered, int64_t at_ms, bint clock,
        int32_t event
    ) except -1 nogil:
        cdef Flip* moved
        cdef Py_ssize_t capacity
        if self.count == self.capacity:
            capacity = max(256, self.capacity * 2)
            moved = <Flip*> realloc(self.flips, capacity * sizeof(Flip))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {capacity} changes")
            self.flips = moved
            self.capacity = capacity
        self.flips[self.count] = Flip(at_ms, rank, ordinal, event, entered, clock)
        self.count += 1
        return 0

    def take(self):
        """Return all as an array of `RECORD`, and be empty."""
        cdef Py_ssize_t count = self.count
        self.count = 0
        if not count:
            return np.empty(0, RECORD)
        return np.frombuffer(<bytes> (<char*> self.flips)[: count * sizeof(Flip)], RECORD)
