"""Conditions of one person: built from a plan, asked for one person at a time."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from segcore._attributes cimport Attributes
from segcore._decide cimport Decider, PersonRow, RowsState, Verdict
from segcore._table cimport Table
from segcore._texts cimport Texts


cdef struct Group:
    uint32_t type_id
    uint64_t of_events
    uint64_t of_items


cdef struct SourceState:
    bint windowed
    int64_t last_ms
    void* where


cdef class Condition(Decider):
    cdef Texts texts
    cdef Attributes values
    cdef readonly tuple type_ids
    cdef readonly tuple attributes
    cdef readonly tuple audience_ids
    cdef readonly bint at_birth
    cdef uint32_t* keys
    cdef Py_ssize_t key_count
    cdef int64_t* members
    cdef Group* groups
    cdef Py_ssize_t group_count
    cdef SourceState* sources
    cdef Py_ssize_t source_count
    cdef dict places
    cdef int evaluate(
        self, uint32_t ordinal, int64_t now_ms, int64_t horizon_ms, Verdict* out
    ) except -1 nogil
    cdef void read_attributes(self, uint32_t ordinal) noexcept nogil
    cdef int64_t gather(self, uint32_t ordinal, int64_t horizon_ms) except -1 nogil
    cdef int64_t take_event(
        self, Table table, int64_t event, const Group* group, int64_t count, int64_t horizon_ms
    ) except -1 nogil
    cdef bint passes(self, PersonRow* row, uint64_t wanted, int64_t horizon_ms) except -1 nogil
    cdef bint concerns(self, int64_t event, int64_t horizon_ms) except -1 nogil
    cdef Group* group_of(self, uint32_t type_id) noexcept nogil
    cdef void* _room(self, Py_ssize_t count, Py_ssize_t size) except NULL
    cdef int _lay_out(self, plan) except -1
    cdef int _take_sources(self, plan) except -1
    cdef int _take_sets(self, plan) except -1
    cdef int _take_set(self, RowsState* state, plan, list times, list follows) except -1
    cdef int _take_steps(self, plan) except -1
    cdef int _take_times(self, plan) except -1
    cdef void* _over_row(self, plan) except? NULL
    cdef void* _for_person(self, plan) except NULL
    cdef bint _may_hold_of_nobody(self, plan) except -1
