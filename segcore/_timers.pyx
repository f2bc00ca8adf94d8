"""The next instant for each (profile, leaf): a binary heap.

Timers are never taken back: a leaf knows which of its timers is the valid one, and a stale one is
dropped when it comes up. The order is total: what is due at one instant comes profile by profile.
"""

from libc.stdlib cimport free, realloc


cdef inline bint before(Timer* left, Timer* right) noexcept nogil:
    if left.due_ms != right.due_ms:
        return left.due_ms < right.due_ms
    if left.ordinal != right.ordinal:
        return left.ordinal < right.ordinal
    return left.leaf < right.leaf


cdef class Timers:
    """A heap with the least (due, ordinal, leaf) at `heap[0]`."""

    def __dealloc__(self):
        free(self.heap)

    def __len__(self):
        return self.size

    cdef int push(self, int64_t due_ms, uint32_t ordinal, uint32_t leaf) except -1 nogil:
        cdef Py_ssize_t place = self.size
        cdef Py_ssize_t parent
        cdef Py_ssize_t capacity
        cdef Timer* moved
        cdef Timer added = Timer(due_ms, ordinal, leaf)
        if self.size == self.capacity:
            capacity = max(64, self.capacity * 2)
            moved = <Timer*> realloc(self.heap, capacity * sizeof(Timer))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {capacity} timers")
            self.heap = moved
            self.capacity = capacity
        self.size += 1
        while place > 0:
            parent = (place - 1) // 2
            if not before(&added, &self.heap[parent]):
                break
            self.heap[place] = self.heap[parent]
            place = parent
        self.heap[place] = added
        return 0

    cdef Timer pop(self) noexcept nogil:
        """Take out the first timer; the heap is not empty."""
        cdef Timer first = self.heap[0]
        cdef Timer last
        cdef Py_ssize_t place = 0
        cdef Py_ssize_t child
        self.size -= 1
        last = self.heap[self.size]
        while True:
            child = 2 * place + 1
            if child >= self.size:
                break
            if child + 1 < self.size and before(&self.heap[child + 1], &self.heap[child]):
                child += 1
            if not before(&self.heap[child], &last):
                break
            self.heap[place] = self.heap[child]
            place = child
        self.heap[place] = last
        return first
