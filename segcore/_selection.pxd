"""One question to the whole history: who makes a rule true, at one instant."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._attributes cimport Attributes
from segcore._bits cimport Bits
from segcore._history cimport Events
from segcore._person cimport Condition
from segcore._texts cimport Texts


cdef class Selection:
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
    cdef int _decide_all(self, Condition condition, Bits candidates, Bits found) except -1 nogil
