"""Growable columns of one machine type: what all state of the engine is kept in.

A column owns its memory and grows by half; new places hold 0. Indexes are not checked: the tables
that own the columns keep them in range, and check them when a snapshot is loaded.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint16_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset


cdef class Column:
    """The memory of a column; its subclasses say what is in it."""

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.size

    cdef int reserve(self, Py_ssize_t size) except -1 nogil:
        """See that there is room for `size` places; amortized O(1) for each place added."""
        cdef Py_ssize_t capacity
        cdef char* moved
        if size <= self.capacity:
            return 0
        capacity = max(size, self.capacity + self.capacity // 2, 16)
        moved = <char*> realloc(self.data, capacity * self.item_bytes)
        if moved == NULL:
            with gil:
                raise MemoryError(f"no memory for a column of {capacity} places")
        self.data = moved
        self.capacity = capacity
        return 0

    cdef int resize(self, Py_ssize_t size) except -1 nogil:
        """Make the column `size` long."""
        if size > self.capacity:
            self.reserve(size)
        if size > self.size:
            memset(
                self.data + self.size * self.item_bytes, 0, (size - self.size) * self.item_bytes
            )
        self.size = size
        return 0

    @property
    def memory_bytes(self):
        """How much memory the column takes."""
        return self.capacity * self.item_bytes

    def to_bytes(self):
        """Return the content as it lies in memory."""
        return PyBytes_FromStringAndSize(self.data, self.size * self.item_bytes)

    def load(self, const uint8_t[::1] content):
        """Replace the content; raises ValueError where it is no whole number of values."""
        if content.shape[0] % self.item_bytes:
            raise ValueError(
                f"expected values of {self.item_bytes} bytes, found {content.shape[0]} bytes"
            )
        self.resize(content.shape[0] // self.item_bytes)
        if content.shape[0]:
            memcpy(self.data, &content[0], content.shape[0])


cdef class Int64Column(Column):
    """Numbers and times."""

    def __cinit__(self):
        self.item_bytes = sizeof(int64_t)


cdef class Uint32Column(Column):
    """Ordinals, ids of texts, and indexes into other columns."""

    def __cinit__(self):
        self.item_bytes = sizeof(uint32_t)


cdef class Int32Column(Column):
    """Dates."""

    def __cinit__(self):
        self.item_bytes = sizeof(int32_t)


cdef class Uint16Column(Column):
    """Codes of a dictionary of middling size."""

    def __cinit__(self):
        self.item_bytes = sizeof(uint16_t)


cdef class ByteColumn(Column):
    """Flags, small states and codes, and bytes of texts."""

    def __cinit__(self):
        self.item_bytes = sizeof(uint8_t)
