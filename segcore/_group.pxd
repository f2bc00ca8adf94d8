"""Rows counted or added up for each profile, and which of them pass a threshold."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from segcore._bits cimport Bits
from segcore._column_tests cimport BLOCK_ROWS
from segcore._history cimport Events
from segcore._program cimport Program
from segcore._rows cimport Block, RowScan


cdef class Group:
    cdef int32_t form
    cdef readonly Py_ssize_t ordinals
    cdef void* cells
    cdef Py_ssize_t size  # bytes of the cells
    cdef Events events
    cdef Program operand
    cdef int64_t values[BLOCK_ROWS]
    cdef int _allocate(self) except -1
    cdef bint take(self, RowScan scan) except -1 nogil
    cdef bint _join(self, Group other, Py_ssize_t first, Py_ssize_t count) noexcept nogil
    cdef bint _add_up(self, RowScan scan, Block* block) except -1 nogil
    cdef const int64_t* _operands(self, RowScan scan, Block* block) except NULL nogil
