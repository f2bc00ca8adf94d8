"""The rows that speak for a clause, as of an event."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._decide cimport FoldState, Scratch
from segcore._days cimport Zones
from segcore._engine cimport LiveEngine
from segcore._person cimport Condition


cdef class Clause(Condition):
    cdef int64_t event_limit
    cdef int32_t* speaking
    cdef Py_ssize_t speaking_count
    cdef int64_t _giving(self, FoldState* fold) except -2
    cdef int64_t _rank(self, int64_t* best, int64_t count, int64_t place) noexcept nogil


cdef class Finder:
    cdef LiveEngine engine
    cdef Zones zones
    cdef Scratch scratch
