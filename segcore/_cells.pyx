"""Zeroed cells of one size by ordinal, sparse while that is smaller, else dense.

Sparse is open addressing with keys apart from cells, so that to find nothing reads one line of
keys; what is dropped leaves no trace, since those behind it move up. Which form a table has follows
from what was touched and dropped in which order, never from addresses.
"""

from array import array

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, qsort
from libc.string cimport memcpy, memset

from segcore._pages cimport pages_extend, pages_give, pages_take

cdef enum:
    LEAST_SLOTS = 8
    LINE_BYTES = 64  # cells of 16 or 32 bytes then lie in one line each
    NO_ORDINAL = 0xFFFFFFFF


@cython.final
cdef class Cells:
    """A cell lives from `touch` to `drop`; either may move all others, so keep no pointer."""

    def __cinit__(self, Py_ssize_t cell_bytes):
        if cell_bytes < 1:
            raise ValueError(f"expected cells of at least a byte, found {cell_bytes}")
        self.cell_bytes = cell_bytes

    def __dealloc__(self):
        self.clear()

    def __len__(self):
        return self.count

    def read(self, uint32_t ordinal):
        """Return the content of a cell, None where there is none."""
        cdef char* cell = <char*> self.find(ordinal)
        return None if cell == NULL else PyBytes_FromStringAndSize(cell, self.cell_bytes)

    def write(self, uint32_t ordinal, bytes content not None):
        """Touch a cell and replace what is in it."""
        if len(content) != self.cell_bytes:
            raise ValueError(f"expected {self.cell_bytes} bytes, found {len(content)}")
        memcpy(self.touch(ordinal), PyBytes_AS_STRING(content), self.cell_bytes)

    def reach(self, uint32_t ordinal):
        """Touch a cell and return what is in it."""
        return PyBytes_FromStringAndSize(<char*> self.touch(ordinal), self.cell_bytes)

    def forget(self, uint32_t ordinal):
        """Drop a cell."""
        self.drop(ordinal)

    def ordinals(self):
        """Return the ordinals that have a cell, ascending, as an `array` of 32 bits each."""
        cdef object found = array("I")
        cdef uint32_t[::1] view
        if self.count:
            found = array("I", (0,)) * self.count
            view = found
            self.list_ordinals(&view[0])
        return found

    cdef void* touch(self, uint32_t ordinal) except NULL nogil:
        """Return the cell of an ordinal, made of zeros where there is none."""
        cdef void* cell = self.find(ordinal)
        if cell != NULL:
            return cell
        if self.dense:
            if ordinal >= self.capacity:
                self._grow(ordinal)
        elif ordinal == NO_ORDINAL:
            with gil:
                raise ValueError(f"expected an ordinal below {NO_ORDINAL}, found {ordinal}")
        elif 4 * (self.count + 1) > 3 * self.capacity:
            self._grow(ordinal)
        return self._adopt(ordinal)

    cdef int drop(self, uint32_t ordinal) except -1 nogil:
        """Forget the cell of an ordinal, if it has one."""
        cdef char* cell = <char*> self.find(ordinal)
        if cell == NULL:
            return 0
        self.count -= 1
        memset(cell, 0, self.cell_bytes)
        if self.dense:
            self.present[ordinal >> 6] &= ~((<uint64_t> 1) << (ordinal & 63))
            return 0
        self._close_gap(<uint32_t> ((cell - self.cells) // self.cell_bytes))
        if self.capacity > LEAST_SLOTS and 8 * self.count < self.capacity:
            self._become_sparse(self.capacity // 2)
        return 0

    cdef void* step(self, Py_ssize_t* place) noexcept nogil:
        """Return the cell at `place` or next behind it, and move on; NULL at the end.

        In the order in which they lie; nothing is to be touched or dropped on the way.
        """
        cdef Py_ssize_t slot
        while place[0] < self.capacity:
            slot = place[0]
            place[0] += 1
            if (self.present[slot >> 6] >> (slot & 63)) & 1 if self.dense else self.keys[slot]:
                return self.cells + slot * self.cell_bytes
        return NULL

    cdef void list_ordinals(self, uint32_t* found) noexcept nogil:
        """Write the `count` ordinals that have a cell, ascending."""
        cdef Py_ssize_t slot
        cdef Py_ssize_t place = 0
        for slot in range(self.capacity):
            if self.dense and (self.present[slot >> 6] >> (slot & 63)) & 1:
                found[place] = <uint32_t> slot
                place += 1
            elif not self.dense and self.keys[slot]:
                found[place] = self.keys[slot] - 1
                place += 1
        if not self.dense:
            qsort(found, place, sizeof(uint32_t), &compare_ordinals)

    cpdef void clear(self) noexcept nogil:
        """Forget all cells, and give the memory back."""
        pages_give(self.block, block_bytes(self, self.capacity))
        free(self.keys)
        free(self.present)
        self.block = NULL
        self.cells = NULL
        self.keys = NULL
        self.present = NULL
        self.count = 0
        self.capacity = 0
        self.greatest = 0
        self.dense = False

    cpdef Py_ssize_t memory(self) noexcept nogil:
        """Return how many bytes the cells and what finds them take."""
        if self.capacity == 0:
            return 0
        if self.dense:
            return LINE_BYTES + dense_bytes(self.cell_bytes, self.capacity)
        return LINE_BYTES + sparse_bytes(self.cell_bytes, self.capacity)

    cdef int _grow(self, uint32_t ordinal) except -1 nogil:
        """Make room for one more cell, that of `ordinal`, in the form that is smaller.

        Dense becomes sparse only where that is less than half of it, so that no table swings.
        """
        cdef Py_ssize_t slots = max(<Py_ssize_t> LEAST_SLOTS, self.capacity)
        cdef Py_ssize_t length = whole_words(<Py_ssize_t> max(self.greatest, ordinal) + 1)
        cdef Py_ssize_t needed = dense_bytes(self.cell_bytes, length)
        if self.dense:
            slots = LEAST_SLOTS
        while 4 * (self.count + 1) > 3 * slots:
            slots *= 2
        if self.dense and needed > 2 * sparse_bytes(self.cell_bytes, slots):
            return self._become_sparse(slots)
        if self.dense:
            length = max(length, whole_words(self.capacity + self.capacity // 2))
        elif needed > sparse_bytes(self.cell_bytes, slots):
            return self._become_sparse(slots)
        return self._become_dense(length)

    cdef int _become_sparse(self, Py_ssize_t capacity) except -1 nogil:
        """Move all cells to a table of `capacity` slots, a power of two."""
        cdef uint32_t* keys = <uint32_t*> calloc(capacity, sizeof(uint32_t))
        cdef void* block = pages_take(block_bytes(self, capacity))
        if keys == NULL or block == NULL:
            free(keys)
            pages_give(block, block_bytes(self, capacity))
            no_memory(capacity)
        return move_cells(self, keys, NULL, block, capacity)

    cdef int _become_dense(self, Py_ssize_t capacity) except -1 nogil:
        """Move all cells to a place of their own for each ordinal below `capacity`."""
        cdef uint64_t* present = <uint64_t*> calloc(capacity // 64, sizeof(uint64_t))
        cdef void* block = NULL
        if present != NULL and self.dense:
            block = pages_extend(
                self.block, block_bytes(self, self.capacity), block_bytes(self, capacity)
            )
        if block != NULL:
            memcpy(present, self.present, self.capacity // 8)
            free(self.present)
            self.present = present
            self.block = block
            self.cells = aligned(block)
            self.capacity = capacity
            return 0
        block = pages_take(block_bytes(self, capacity))
        if present == NULL or block == NULL:
            free(present)
            pages_give(block, block_bytes(self, capacity))
            no_memory(capacity)
        return move_cells(self, NULL, present, block, capacity)

    cdef char* _adopt(self, uint32_t ordinal) noexcept nogil:
        """Return the cell for an ordinal that has none; there is room."""
        cdef uint32_t mask, slot
        self.count += 1
        if ordinal > self.greatest:
            self.greatest = ordinal
        if self.dense:
            self.present[ordinal >> 6] |= (<uint64_t> 1) << (ordinal & 63)
            return self.cells + ordinal * self.cell_bytes
        mask = <uint32_t> (self.capacity - 1)
        slot = cells_slot(ordinal, self.shift)
        while self.keys[slot]:
            slot = (slot + 1) & mask
        self.keys[slot] = ordinal + 1
        return self.cells + slot * self.cell_bytes

    cdef void _close_gap(self, uint32_t gap) noexcept nogil:
        """Free a slot, and move up those behind it that would not be found beyond a free one."""
        cdef uint32_t mask = <uint32_t> (self.capacity - 1)
        cdef uint32_t slot = gap
        cdef uint32_t home
        self.keys[gap] = 0
        while True:
            slot = (slot + 1) & mask
            if self.keys[slot] == 0:
                return
            home = cells_slot(self.keys[slot] - 1, self.shift)
            if ((slot - home) & mask) < ((slot - gap) & mask):
                continue
            self.keys[gap] = self.keys[slot]
            self.keys[slot] = 0
            memcpy(
                self.cells + gap * self.cell_bytes,
                self.cells + slot * self.cell_bytes,
                self.cell_bytes,
            )
            memset(self.cells + slot * self.cell_bytes, 0, self.cell_bytes)
            gap = slot


cdef inline Py_ssize_t dense_bytes(Py_ssize_t cell_bytes, Py_ssize_t length) noexcept nogil:
    return length * cell_bytes + length // 8


cdef inline Py_ssize_t whole_words(Py_ssize_t length) noexcept nogil:
    return (length + 63) // 64 * 64


cdef inline Py_ssize_t sparse_bytes(Py_ssize_t cell_bytes, Py_ssize_t slots) noexcept nogil:
    return slots * (cell_bytes + sizeof(uint32_t))


cdef inline size_t block_bytes(Cells self, Py_ssize_t capacity) noexcept nogil:
    return capacity * self.cell_bytes + LINE_BYTES


cdef inline char* aligned(void* block) noexcept nogil:
    """Return where the first line of a block begins."""
    return <char*> ((<uintptr_t> block + LINE_BYTES - 1) & ~(<uintptr_t> LINE_BYTES - 1))


cdef int no_memory(Py_ssize_t capacity) except -1 nogil:
    with gil:
        raise MemoryError(f"no memory for {capacity} cells")


cdef int compare_ordinals(const void* left, const void* right) noexcept nogil:
    cdef uint32_t first = (<const uint32_t*> left)[0]
    cdef uint32_t second = (<const uint32_t*> right)[0]
    return (first > second) - (first < second)


cdef int move_cells(
    Cells self, uint32_t* keys, uint64_t* present, void* block, Py_ssize_t capacity
) noexcept nogil:
    """Give the table its new memory, and move the cells there from the old."""
    cdef char* old_cells = self.cells
    cdef void* old_block = self.block
    cdef uint32_t* old_keys = self.keys
    cdef uint64_t* old_present = self.present
    cdef Py_ssize_t old_capacity = self.capacity
    cdef bint old_dense = self.dense
    cdef Py_ssize_t slot
    cdef uint32_t ordinal
    self.block = block
    self.cells = aligned(block)
    self.keys = keys
    self.present = present
    self.dense = present != NULL
    self.capacity = capacity
    self.count = 0
    self.greatest = 0
    self.shift = 64
    while (<Py_ssize_t> 1) << (64 - self.shift) < capacity:
        self.shift -= 1
    for slot in range(old_capacity):
        if old_dense:
            if not (old_present[slot >> 6] >> (slot & 63)) & 1:
                continue
            ordinal = <uint32_t> slot
        else:
            if not old_keys[slot]:
                continue
            ordinal = old_keys[slot] - 1
        memcpy(self._adopt(ordinal), old_cells + slot * self.cell_bytes, self.cell_bytes)
    pages_give(old_block, block_bytes(self, old_capacity))
    free(old_keys)
    free(old_present)
    return 0
