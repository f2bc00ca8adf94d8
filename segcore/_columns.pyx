"""Growable columns of one machine type: what all state of the engine is kept in.

A column owns its memory and grows by half; new places hold 0. Or it is mapped to a file, which
grows with it: such a column is only ever appended to. Indexes are not checked: the tables that own
the columns keep them in range, and check them when a snapshot is loaded.
"""

import os
import zlib

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_READ
from cpython.exc cimport PyErr_SetFromErrno
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint16_t
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from segcore._pages cimport pages_give, pages_grow

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <stdint.h>
    #include <sys/mman.h>
    #ifndef MREMAP_MAYMOVE
    #define MREMAP_MAYMOVE 1
    extern void *mremap(void *, size_t, size_t, int, ...);
    #endif
    static inline void *coterie_remap(void *at, size_t length, size_t wanted) {
        return mremap(at, length, wanted, MREMAP_MAYMOVE);
    }
    """
    void* coterie_remap(void* at, size_t length, size_t wanted) noexcept nogil

cdef Py_ssize_t PAGE_BYTES = 4096
cdef Py_ssize_t MOST_GROWTH_BYTES = 64 << 20
"""A file doubles up to this step: what is reserved on disk ahead of its use stays small."""


cdef class Column:
    """The memory of a column; its subclasses say what is in it."""

    def __dealloc__(self):
        if self.path is None:
            pages_give(self.data, self.capacity * self.item_bytes)
        elif self.mapped_bytes:
            munmap(self.data, self.mapped_bytes)

    def __len__(self):
        return self.size

    def attach(self, str path):
        """Let an empty column lie in a file from here on, which its first growth makes."""
        self.path = path

    def open_file(self, Py_ssize_t size):
        """Map the file, which holds `size` values at least, as what the column was.

        Raises ValueError where there is no such file or a shorter one. What is longer is overwritten as
        the column grows, and not cut: a former owner in this process may still look at it.
        """
        cdef Py_ssize_t found
        if size == 0:
            return
        try:
            found = os.stat(self.path).st_size
        except FileNotFoundError:
            raise ValueError(f"{self._name()}: expected a file of {size} values, found none")
        if found < size * self.item_bytes:
            raise ValueError(
                f"{self._name()}: expected {size * self.item_bytes} bytes, found {found}"
            )
        self._map(found, False)
        self.capacity = found // self.item_bytes
        self.size = size

    def _name(self):
        return os.path.basename(self.path)

    cdef int _grow_file(self, Py_ssize_t size) except -1:
        """Make the file long enough for `size` values, so that a full disk shows here."""
        cdef Py_ssize_t wanted = size * self.item_bytes
        wanted = max(wanted, self.mapped_bytes + min(self.mapped_bytes, MOST_GROWTH_BYTES))
        wanted = (wanted + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES
        self._map(wanted, self.mapped_bytes == 0)
        self.capacity = wanted // self.item_bytes
        return 0

    cdef int _map(self, Py_ssize_t byte_count, bint fresh) except -1:
        """Map `byte_count` bytes of the file; a fresh one replaces what has its name."""
        cdef void* data
        cdef int file
        if fresh and os.path.lexists(self.path):
            os.unlink(self.path)
        file = os.open(
            self.path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if fresh else 0), 0o600
        )
        try:
            if byte_count > os.fstat(file).st_size:
                os.posix_fallocate(file, self.mapped_bytes, byte_count - self.mapped_bytes)
            if self.mapped_bytes:
                data = coterie_remap(self.data, self.mapped_bytes, byte_count)
            else:
                data = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            if data == MAP_FAILED:
                PyErr_SetFromErrno(OSError)
        finally:
            os.close(file)
        self.data = <char*> data
        self.mapped_bytes = byte_count
        return 0

    cdef int reserve(self, Py_ssize_t size) except -1 nogil:
        """See that there is room for `size` places; amortized O(1) for each place added."""
        cdef Py_ssize_t capacity
        cdef char* moved
        if size <= self.capacity:
            return 0
        if self.path is not None:
            with gil:
                return self._grow_file(size)
        capacity = max(size, self.capacity + self.capacity // 2, 16)
        moved = <char*> pages_grow(
            self.data, self.capacity * self.item_bytes, capacity * self.item_bytes
        )
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
        """How much memory the column takes; none where it lies in a file."""
        return self.capacity * self.item_bytes if self.path is None else 0

    @property
    def file_bytes(self):
        """How long the column's file is."""
        return self.mapped_bytes

    def checksum(self, Py_ssize_t start, uint32_t former):
        """Return the crc32 of all values, where `former` is that of those before `start`."""
        cdef char* data = self.data + start * self.item_bytes
        cdef Py_ssize_t length = (self.size - start) * self.item_bytes
        if length <= 0:
            return former
        return zlib.crc32(PyMemoryView_FromMemory(data, length, PyBUF_READ), former)

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
