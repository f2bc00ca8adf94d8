"""What decides atoms: a leaf with its thresholds, a test of attributes, a test of a whole person."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._attributes cimport Attributes
from segcore._bits cimport Bits
from segcore._cells cimport Cells
from segcore._history cimport Events
from segcore._logic cimport Queue, Signal
from segcore._person cimport Condition
from segcore._program cimport Program
from segcore._table cimport Table
from segcore._tally cimport Leaf
from segcore._texts cimport Texts
from segcore._truth cimport Truth
from segcore._wheel cimport Wheel


cdef class Surroundings:
    cdef Events events
    cdef Attributes attributes
    cdef Wheel wheel
    cdef Queue queue
    cdef Bits known
    cdef Truth truth


cdef class Node:
    cdef readonly uint32_t index
    cdef readonly str key
    cdef readonly bint at_birth
    cdef readonly bint live
    cdef Surroundings around
    cdef Py_ssize_t filled

    cdef int add_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms
    ) except -1
    cdef int count_event(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t horizon_ms
    ) except -1
    cdef void prefetch(self, uint32_t ordinal) noexcept
    cdef int refresh(self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms) except -1
    cdef bint ring(self, uint32_t ordinal, int64_t due_ms) except -1
    cdef bint is_due(self, uint32_t ordinal, int64_t due_ms) noexcept
    cdef int clear(self, uint32_t ordinal) except -1
    cdef bint build(self, Py_ssize_t most, int64_t now_ms, int64_t horizon_ms) except -1
    cdef bint _fill(self, Py_ssize_t most, int64_t now_ms, int64_t horizon_ms) except -1
    cdef double progress(self)


cdef struct Atom:  # whether what a leaf holds lies between two numbers, or does not
    int64_t least
    int64_t most
    bint negated
    bint of_count


cdef class TallyNode(Node):
    cdef Leaf leaf
    cdef readonly object most
    cdef bint of_items
    cdef bint bare  # every event of its types is a row without a value
    cdef bint windowed
    cdef int64_t window_ms
    cdef Program where
    cdef Program operand
    cdef readonly tuple types
    cdef dict cursors
    cdef bint counted
    cdef list signals
    cdef dict atom_signals
    cdef Atom* atoms
    cdef Py_ssize_t atom_count
    cdef int64_t least

    cdef int _add_rows(
        self, Table table, Py_ssize_t row, uint32_t ordinal, int64_t horizon_ms, void** cell
    ) except -1
    cdef int _add_row(
        self, Table table, Py_ssize_t row, Py_ssize_t line, uint32_t ordinal, int64_t horizon_ms,
        void** cell
    ) except -1
    cdef int _decide(self, uint32_t ordinal, void* cell, int64_t horizon_ms) except -1
    cdef bint _count(self, Py_ssize_t most, int64_t horizon_ms) except -1


cdef class AttributeNode(Node):
    cdef int64_t _value(self, uint32_t ordinal) except? -1
    cdef Program program
    cdef readonly Signal signal


cdef class PersonNode(Node):
    cdef readonly Condition condition
    cdef Texts texts
    cdef readonly Signal signal
    cdef Cells armed
