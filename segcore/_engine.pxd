"""The engine of one partition: what comes in, what time changes, who is in which audience."""

from libc.stdint cimport int32_t, int64_t, uint32_t

from segcore._attributes cimport Attributes
from segcore._audience cimport Audience
from segcore._columns cimport ByteColumn
from segcore._history cimport Events
from segcore._leaf cimport Leaf
from segcore._owners cimport Owners
from segcore._program cimport Input
from segcore._texts cimport Texts
from segcore._timers cimport Timer, Timers

cdef enum Presence:
    UNKNOWN = 0
    KNOWN = 1
    GONE = 2


cdef class LiveEngine:
    cdef object store
    cdef Texts texts
    cdef Owners owners
    cdef Events events
    cdef Attributes attributes
    cdef Timers timers
    cdef list leaves
    cdef dict leaf_by_key
    cdef dict leaves_of_type
    cdef list building
    cdef list audiences_in_order
    cdef dict audience_by_id
    cdef dict attribute_watchers
    cdef list at_birth
    cdef ByteColumn profiles
    cdef readonly Py_ssize_t profile_count
    cdef readonly int64_t now_ms
    cdef readonly int64_t horizon_ms
    cdef readonly int64_t arrivals
    cdef int32_t* queue
    cdef Py_ssize_t queued

    cdef int _unite(self, uint32_t winner, uint32_t loser) except -1
    cdef Timer _first_timer(self) noexcept
    cdef bint _drop_stale(self) except -1
    cdef int _expire_profile(self, list changes) except -1
    cdef int _check_ordinal(self, uint32_t ordinal) except -1
    cdef bint _make_known(self, uint32_t ordinal) except -1
    cdef int _retire(self, uint32_t ordinal) except -1
    cdef int _admit(self, uint32_t ordinal) except -1
    cdef int _notice(self, Leaf leaf, uint32_t ordinal, int64_t before) except -1
    cdef int _enqueue_all(self, list audiences) except -1
    cdef int _settle(self, uint32_t ordinal, int64_t at_ms, bint clock, list changes) except -1
    cdef object _change(
        self, Audience audience, uint32_t ordinal, bint entered, int64_t at_ms, bint clock
    )
    cdef bint _holds(self, Audience audience, uint32_t ordinal) except -1
    cdef int _read(
        self, Input* wanted, uint32_t first, Py_ssize_t count, int64_t* values
    ) except -1
    cdef int _finish(self, Audience audience) except -1
    cdef int _open(self, Audience audience) except -1
    cdef int _evaluate_all(self, Audience audience) except -1
    cdef Audience _audience(self, str audience_id)
    cdef Audience _active(self, str audience_id)
