"""What is true of whom: a row of bits for each ordinal, a column for each signal."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from segcore._prefetch cimport prefetch

cdef enum:
    NEAR_LINES = 4  # so much of a row is asked for ahead of its use


@cython.final
cdef class Truth:
    cdef uint64_t* words
    cdef uint64_t* nothing  # the row of those who have none
    cdef readonly Py_ssize_t width  # words of a row
    cdef readonly Py_ssize_t row_count
    cdef list free  # columns
    cdef Py_ssize_t next_column
    cdef int _grow(self, Py_ssize_t row_count, Py_ssize_t width) except -1 nogil
    cdef int _widen_nothing(self, Py_ssize_t width) except -1 nogil
    cdef uint32_t add_column(self) except? 0xFFFFFFFF
    cdef uint64_t gather(self, Py_ssize_t block, uint32_t column) noexcept nogil
    cdef int scatter(self, Py_ssize_t block, uint32_t column, uint64_t bits) except -1 nogil

    cdef inline const uint64_t* row(self, uint32_t ordinal) noexcept nogil:
        """Return the row of an ordinal; good until a bit is set or a column is added."""
        if ordinal < self.row_count:
            return self.words + ordinal * self.width
        return self.nothing

    cdef inline bint get(self, uint32_t ordinal, uint32_t column) noexcept nogil:
        return (self.row(ordinal)[column >> 6] >> (column & 63)) & 1

    cdef inline int put(self, uint32_t ordinal, uint32_t column, bint bit) except -1 nogil:
        """Set or clear a bit; only one that is set beyond the end makes the table grow."""
        cdef uint64_t mask = (<uint64_t> 1) << (column & 63)
        cdef uint64_t* word
        if ordinal >= self.row_count:
            if not bit:
                return 0
            self._grow(<Py_ssize_t> ordinal + 1, self.width)
        word = self.words + ordinal * self.width + (column >> 6)
        word[0] = word[0] | mask if bit else word[0] & ~mask
        return 0

    cdef inline void prefetch(self, uint32_t ordinal) noexcept nogil:
        """Begin to bring near the row of an ordinal, or the beginning of a long one."""
        cdef Py_ssize_t place
        if ordinal < self.row_count:
            for place in range(0, min(self.width, <Py_ssize_t> NEAR_LINES * 8), 8):
                prefetch(self.words + ordinal * self.width + place)
