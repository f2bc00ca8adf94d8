"""One question to the whole history: who makes a rule true, at one instant."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._attributes cimport Attributes
from segcore._bits cimport Bits
from segcore._decide cimport Verdict
from segcore._engine cimport LiveEngine
from segcore._history cimport Events
from segcore._person cimport Condition
from segcore._rows cimport RowScan, Turns
from segcore._table cimport Table
from segcore._texts cimport Texts


cdef class Selection:
    cdef LiveEngine engine
    cdef readonly Texts texts
    cdef readonly Events events
    cdef readonly Attributes attributes
    cdef readonly Bits known
    cdef readonly int64_t now_ms
    cdef readonly int64_t horizon_ms
    cdef readonly bint past
    cdef readonly Py_ssize_t ordinals
    cdef object zone
    cdef uint32_t partition
    cdef Py_ssize_t text_count
    cdef Py_ssize_t journal_size
    cdef Py_ssize_t recalled
    cdef Py_ssize_t frozen
    cdef bint spoiled
    cdef object rest
    cdef Py_ssize_t threads
    cdef Py_ssize_t share
    cdef int _recall(self, Py_ssize_t end) except -1
    cdef RowScan _scan(self, rows, Table table, Py_ssize_t first, Py_ssize_t end)
    cdef int _decide_some(
        self, Condition condition, Bits candidates, Bits found, Py_ssize_t first, Py_ssize_t end
    ) except -1 nogil
    cdef int _decide(self, Condition condition, uint32_t ordinal, Verdict* out) except -1 nogil
