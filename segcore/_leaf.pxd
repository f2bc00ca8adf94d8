"""The state of one leaf: what its rows come to, for each profile that has any."""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._columns cimport Uint32Column
from segcore._history cimport Events, Table
from segcore._program cimport Program, wide_sum
from segcore._timers cimport Timers

cdef struct Posting:
    int64_t occurred_ms
    int64_t value


cdef struct Tally:
    wide_sum total
    int64_t count
    int64_t timer_ms
    Posting* postings
    Py_ssize_t head
    Py_ssize_t tail
    Py_ssize_t capacity


cdef class Leaf:
    cdef readonly str key
    cdef readonly uint32_t index
    cdef Events events
    cdef Timers timers
    cdef uint32_t* types
    cdef Py_ssize_t type_count
    cdef bint of_items
    cdef bint windowed
    cdef int64_t window_ms
    cdef Program where
    cdef Program operand
    cdef Uint32Column places
    cdef Tally* tallies
    cdef Py_ssize_t tally_count
    cdef Py_ssize_t tally_capacity
    cdef readonly Py_ssize_t cursor
    cdef readonly bint live
    cdef readonly list existence_watchers
    cdef readonly list value_watchers

    cdef Tally* find(self, uint32_t ordinal) noexcept nogil
    cdef Tally* _touch(self, uint32_t ordinal) except NULL nogil
    cdef bint counts(self, Py_ssize_t event) noexcept nogil
    cdef int add_event(self, Py_ssize_t event, int64_t horizon_ms) except -1 nogil
    cdef int _add_row(self, PyObject* table, Py_ssize_t row, Py_ssize_t line) except -1 nogil
    cdef int _post(self, Tally* tally, int64_t occurred_ms, int64_t value) except -1 nogil
    cdef int _schedule(self, Tally* tally, uint32_t ordinal) except -1 nogil
    cdef bint is_due(self, uint32_t ordinal, int64_t due_ms) noexcept nogil
    cdef int expire(self, uint32_t ordinal, int64_t due_ms) except -1 nogil
    cdef void clear(self, uint32_t ordinal) noexcept nogil
    cdef int64_t read(self, int32_t source, uint32_t ordinal) noexcept nogil
    cdef int build(self, Py_ssize_t until, int64_t horizon_ms) except -1 nogil
