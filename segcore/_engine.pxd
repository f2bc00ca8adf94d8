"""The engine of one partition: what comes in, what time changes, who is in which audience."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._attributes cimport Attributes
from segcore._audience cimport Audience
from segcore._batch cimport Batch, BatchRow
from segcore._bits cimport Bits
from segcore._flips cimport Flips
from segcore._history cimport Events
from segcore._node cimport Node, Surroundings
from segcore._owners cimport Owners
from segcore._table cimport EventView
from segcore._texts cimport Texts
from segcore._wheel cimport Timer, Wheel


cdef class LiveEngine:
    cdef readonly object store
    cdef readonly uint32_t partition
    cdef readonly str zone
    cdef readonly Texts texts
    cdef readonly Owners owners
    cdef readonly Events events
    cdef readonly Attributes attributes
    cdef readonly Bits known
    cdef readonly Bits gone
    cdef Surroundings around
    cdef Flips flips
    cdef readonly list nodes
    cdef dict listeners
    cdef list listening
    cdef dict attribute_nodes
    cdef list birth_nodes
    cdef readonly list audiences_in_order
    cdef list birth_audiences
    cdef readonly Py_ssize_t profile_count
    cdef readonly int64_t now_ms
    cdef readonly int64_t horizon_ms
    cdef readonly int64_t arrivals
    cdef int32_t place

    cdef list _listening(self, uint32_t type_id)
    cdef int _look_ahead(self, Batch batch, Py_ssize_t place) except -1
    cdef int _count_in(self, uint32_t ordinal, Py_ssize_t index) except -1
    cdef Py_ssize_t _apply(
        self, Batch batch, Py_ssize_t first, Py_ssize_t last, bint stopping
    ) except -1
    cdef bint _stops(self, Py_ssize_t* looked_at) except -1
    cdef int _check_time(self, int64_t occurred_ms) except -1
    cdef int _pass_time(self, int64_t limit_ms) except -1
    cdef bint _rings(self, const Timer* timer) except -1
    cdef bint _drop_stale(self, Timer* first) except -1
    cdef int _fire_profile(self, Timer* first) except -1
    cdef int _look_ahead_in_time(self) except -1
    cdef int _check_ordinal(self, uint32_t ordinal) except -1
    cdef bint _make_known(self, uint32_t ordinal) except -1
    cdef int _retire(self, uint32_t ordinal) except -1
    cdef int _admit(self, uint32_t ordinal) except -1
    cdef int _queue_all(self, list audiences) except -1
    cdef int _settle(self, uint32_t ordinal, int64_t at_ms, bint clock) except -1
    cdef list _changes(self)
