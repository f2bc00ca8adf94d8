"""What the simple rows of a profile come to: the state of a leaf, in three kinds."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from segcore._cells cimport Cells

cdef extern from *:
    """
    #include <stdint.h>
    #ifndef TALLY_SUM
    #define TALLY_SUM
    #define TALLY_NO_TIMER INT64_MAX
    #define TALLY_MISSING INT64_MIN
    /* 96 bits: exact for the sum of as many values of 64 bits as the count can count. */
    typedef struct { uint64_t low; int32_t high; uint32_t count; } tally_sum;
    static inline void tally_add(tally_sum *sum, int64_t value) {
        uint64_t before = sum->low;
        sum->low += (uint64_t) value;
        sum->high += (sum->low < before) - (value < 0);
    }
    static inline void tally_subtract(tally_sum *sum, int64_t value) {
        uint64_t before = sum->low;
        sum->low -= (uint64_t) value;
        sum->high -= (sum->low > before) - (value < 0);
    }
    static inline int64_t tally_read(const tally_sum *sum) {
        return sum->high == (int64_t) sum->low >> 63 ? (int64_t) sum->low : TALLY_MISSING;
    }
    #endif
    """
    ctypedef struct tally_sum:
        uint64_t low
        int32_t high
        uint32_t count
    const int64_t NO_TIMER "TALLY_NO_TIMER"
    const int64_t MISSING "TALLY_MISSING"
    void tally_add(tally_sum* sum, int64_t value) noexcept nogil
    void tally_subtract(tally_sum* sum, int64_t value) noexcept nogil
    int64_t tally_read(const tally_sum* sum) noexcept nogil


cdef struct Look:  # all that a leaf says of a profile, found at once
    int64_t count
    int64_t total
    int64_t due_ms


cdef struct WindowCell:
    int64_t armed_ms
    tally_sum sum
    int64_t oldest_ms
    int64_t newest_ms
    int64_t* ring  # of `capacity` rows; without one, the value of the newer of two
    uint32_t head
    uint32_t capacity


cdef class Leaf:
    cdef readonly int64_t window_ms  # 0 is none
    cdef readonly int64_t most  # up to which count it is exact
    cdef Cells cells
    cdef int add(
        self, uint32_t ordinal, int64_t occurred_ms, int64_t value, int64_t horizon_ms,
        void** cell
    ) except -1 nogil
    cdef void look(self, const void* cell, int64_t horizon_ms, Look* seen) noexcept nogil
    cdef int expire(self, uint32_t ordinal, int64_t horizon_ms, void** cell) except -1 nogil
    cdef int clear(self, uint32_t ordinal) except -1 nogil
    cdef Py_ssize_t memory(self) noexcept nogil
    cdef inline void* find(self, uint32_t ordinal) noexcept nogil:
        """Return the cell of an ordinal, NULL where it has no state."""
        return self.cells.find(ordinal)

    cdef inline void prefetch(self, uint32_t ordinal) noexcept nogil:
        self.cells.prefetch(ordinal)

    cdef inline int64_t leaves_at(self, int64_t occurred_ms) noexcept nogil:
        """Return when a row leaves; never, where that is beyond all time."""
        return NO_TIMER if occurred_ms > NO_TIMER - self.window_ms else occurred_ms + self.window_ms


@cython.final
cdef class Total(Leaf):
    pass


@cython.final
cdef class Newest(Leaf):
    pass


@cython.final
cdef class Window(Leaf):
    cdef readonly bint summed
    cdef Py_ssize_t row_values  # how many numbers a row takes in a ring
    cdef Py_ssize_t ring_bytes
    cdef int _insert(self, WindowCell* cell, int64_t occurred_ms, int64_t value) except -1 nogil
    cdef int _fit(self, WindowCell* cell, uint32_t capacity) except -1 nogil
    cdef void _drop_ring(self, WindowCell* cell) noexcept nogil
    cdef uint32_t _left(self, WindowCell* cell, int64_t limit_ms) noexcept nogil
