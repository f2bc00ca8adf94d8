"""Timers in the order in which they fall due, whatever the order in which they are set."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #ifndef WHEEL_TIMER
    #define WHEEL_TIMER
    /* In this order of members the key lies in memory as one number of 128 bits. */
    typedef struct { uint32_t node; uint32_t ordinal; int64_t due_ms; } wheel_timer;
    static inline __int128 wheel_key(const wheel_timer *timer) {
        uint64_t tail = (uint64_t) timer->ordinal << 32 | timer->node;
        return (__int128) ((unsigned __int128) (uint64_t) timer->due_ms << 64 | tail);
    }
    static inline int wheel_before(const wheel_timer *left, const wheel_timer *right) {
        return wheel_key(left) < wheel_key(right);
    }
    #endif
    """
    ctypedef struct Timer "wheel_timer":
        uint32_t node
        uint32_t ordinal
        int64_t due_ms
    bint wheel_before(const Timer* left, const Timer* right) noexcept nogil


cdef struct Bucket:
    Timer* entries  # the first is the least of them, the others lie as they came
    uint32_t count
    uint32_t capacity


@cython.final
cdef class Wheel:
    cdef public int64_t floor_ms
    cdef readonly Py_ssize_t count
    cdef int64_t soonest_ms  # when the first of all timers falls due
    cdef int64_t base  # no timer in the buckets falls due in an earlier second
    cdef Bucket* buckets
    cdef uint64_t* marks  # a bit for each bucket that has timers
    cdef uint64_t summaries[4]  # for each level, a bit for each word of marks that has any
    cdef Py_ssize_t nearest  # the bucket with the least of all timers in buckets, -1 for none
    cdef Py_ssize_t held  # for how many timers the buckets have room
    cdef Timer* run  # opened buckets, sorted
    cdef Py_ssize_t run_head
    cdef Py_ssize_t run_end
    cdef Py_ssize_t run_capacity
    cdef Timer* heap  # what comes between those of the run
    cdef Py_ssize_t heap_size
    cdef Py_ssize_t heap_capacity

    cdef int push(self, int64_t due_ms, uint32_t ordinal, uint32_t node) except -1 nogil
    cdef bint first(self, Timer* found) noexcept nogil
    cdef int pop(self, Timer* found) except -1 nogil
    cpdef void clear(self) noexcept nogil
    cpdef Py_ssize_t memory(self) noexcept nogil
    cdef inline const Timer* ahead(self, Py_ssize_t count) noexcept nogil:
        """Return a timer that is due soon, so many behind the first of its bucket, or NULL."""
        cdef Py_ssize_t place = self.run_head + count
        return &self.run[place] if place < self.run_end else NULL

    cdef inline bint is_due(self, int64_t limit_ms) noexcept nogil:
        """Tell whether a timer falls due up to an instant."""
        return self.count > 0 and self.soonest_ms <= limit_ms

    cdef const Timer* _ready(self) noexcept nogil
    cdef void _see_soonest(self) noexcept nogil
    cdef void _move_base(self) noexcept nogil
    cdef int _place(self, Timer timer) except -1 nogil
    cdef int _append(self, Py_ssize_t index, Timer timer) except -1 nogil
    cdef int _open(self) except -1 nogil
    cdef int _join_run(self, Bucket* opened) except -1 nogil
    cdef Py_ssize_t _next_marked(self, int level) noexcept nogil
    cdef void _find_nearest(self) noexcept nogil
    cdef int _push_heap(self, Timer timer) except -1 nogil
    cdef void _pop_heap(self) noexcept nogil
