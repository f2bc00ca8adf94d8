"""The rows of one table that a condition and a window leave, block by block."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._column_tests cimport BLOCK_ROWS, BLOCK_WORDS
from segcore._filter cimport Filter
from segcore._history cimport Events
from segcore._table cimport Table


cdef struct Block:
    Py_ssize_t count
    Py_ssize_t first            # the row, or the line of items, with which it begins
    const uint32_t* rows        # of which row each line is; NULL where places are rows
    const uint32_t* owners      # whose each place is
    const uint64_t* words       # which places are meant; NULL is all of them


cdef extern from *:
    """
    static inline Py_ssize_t coterie_next(Py_ssize_t *counter) {
        return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
    }
    """
    Py_ssize_t take_next "coterie_next" (Py_ssize_t* counter) noexcept nogil


cdef class Turns:
    cdef Py_ssize_t next

    cdef inline Py_ssize_t take(self) noexcept nogil:
        """Return the next number, from 0 on, which nobody else gets."""
        return take_next(&self.next)


cdef class RowScan:
    cdef Events events
    cdef Table table
    cdef bint of_items
    cdef Filter where
    cdef Filter field           # over one field, whose values are added up or compared
    cdef int64_t after_ms       # what occurred later than this, and no later than that
    cdef int64_t until_ms
    cdef Py_ssize_t row_count
    cdef Turns turns            # by which threads share the zones; None where one has them all
    cdef Py_ssize_t row
    cdef Py_ssize_t line
    cdef Py_ssize_t line_end
    cdef Py_ssize_t row_of_line
    cdef bint whole
    cdef uint64_t row_words[BLOCK_WORDS]
    cdef uint64_t words[BLOCK_WORDS]
    cdef uint32_t rows[BLOCK_ROWS]
    cdef uint32_t owners[BLOCK_ROWS]
    cdef int64_t times[BLOCK_ROWS]
    cdef bint next_block(self, Block* out) except -1 nogil
    cdef Py_ssize_t _next_rows(self) noexcept nogil
    cdef int _take_lines(self, Block* out) except -1 nogil
    cdef void _own(self, const uint32_t* ordinals, Block* out) noexcept nogil
