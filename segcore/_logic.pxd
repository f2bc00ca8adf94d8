"""Signals that audiences read, and the programs that they are."""

cimport cython
from libc.stdint cimport int32_t, uint32_t, uint64_t

from segcore._truth cimport Truth


@cython.final
cdef class Queue:
    cdef uint64_t* words
    cdef Py_ssize_t word_count
    cdef Py_ssize_t least
    cdef int room(self, Py_ssize_t ranks) except -1
    cdef inline void add(self, uint32_t rank) noexcept nogil:
        """Queue a rank, once."""
        cdef Py_ssize_t word = rank >> 6
        self.words[word] |= <uint64_t> 1 << (rank & 63)
        if word < self.least:
            self.least = word

    cdef inline bint is_empty(self) noexcept nogil:
        """Tell whether nothing is queued."""
        return self.least == self.word_count

    cdef Py_ssize_t take(self) noexcept nogil
    cdef void empty(self) noexcept nogil


@cython.final
cdef class Signal:
    cdef Truth truth
    cdef readonly uint32_t column
    cdef uint32_t* watchers
    cdef Py_ssize_t watcher_count
    cdef int watch(self, uint32_t rank) except -1
    cdef void unwatch(self) noexcept
    cdef int _turn(self, uint32_t ordinal, bint value, Queue queue) except -1 nogil

    cdef inline bint get(self, uint32_t ordinal) noexcept nogil:
        return self.truth.get(ordinal, self.column)

    cdef inline int put(self, uint32_t ordinal, bint value, Queue queue) except -1 nogil:
        """Set a bit; if it changes, queue who reads it."""
        if self.get(ordinal) != value:
            self._turn(ordinal, value, queue)
        return 0


cdef struct Step:
    int32_t op
    int32_t argument


cdef struct Test:  # of one word of a row
    int32_t word
    uint64_t mask
    uint64_t wanted


@cython.final
cdef class Logic:
    cdef Truth truth
    cdef readonly tuple signals
    cdef Step* steps
    cdef Py_ssize_t step_count
    cdef uint64_t* stack
    cdef Test* tests  # that all have to pass, where the program is a conjunction; else NULL
    cdef Py_ssize_t test_count
    cdef bint negated
    cdef int _take_tests(self, found) except -1
    cdef uint64_t _run(self, const uint64_t* row, Py_ssize_t block) noexcept nogil

    cdef inline uint64_t word(self, Py_ssize_t block) noexcept nogil:
        """Return what the program comes to for the 64 ordinals from `64 * block` on."""
        return self._run(NULL, block)

    cdef inline bint holds(self, uint32_t ordinal) noexcept nogil:
        """Tell whether the program is true of one profile."""
        cdef const uint64_t* row = self.truth.row(ordinal)
        cdef Py_ssize_t place
        if self.tests == NULL:
            return self._run(row, 0) & 1
        for place in range(self.test_count):
            if row[self.tests[place].word] & self.tests[place].mask != self.tests[place].wanted:
                return self.negated
        return not self.negated
