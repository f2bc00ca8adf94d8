"""A growable set of ordinals as words of bits, and its roaring form."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from segcore._prefetch cimport prefetch


@cython.final
cdef class Bits:
    cdef uint64_t* words
    cdef readonly Py_ssize_t word_count
    cdef Py_ssize_t capacity

    cdef inline bint get(self, uint32_t ordinal) noexcept nogil:
        """Tell whether an ordinal is in; those beyond the end are not."""
        cdef Py_ssize_t word = ordinal >> 6
        return word < self.word_count and (self.words[word] >> (ordinal & 63)) & 1

    cdef inline void prefetch(self, uint32_t ordinal) noexcept nogil:
        """Begin to bring near what `get` of this ordinal will read."""
        if ordinal >> 6 < self.word_count:
            prefetch(self.words + (ordinal >> 6))

    cdef inline int put(self, uint32_t ordinal, bint bit) except -1 nogil:
        """Let an ordinal in or out; only one that comes in beyond the end makes the set grow."""
        cdef Py_ssize_t word = ordinal >> 6
        cdef uint64_t mask = (<uint64_t> 1) << (ordinal & 63)
        if word >= self.word_count:
            if not bit:
                return 0
            self.resize(word + 1)
        if bit:
            self.words[word] |= mask
        else:
            self.words[word] &= ~mask
        return 0

    cdef inline int flip(self, uint32_t ordinal) except -1 nogil:
        """Turn an ordinal over and return whether it is in now."""
        cdef Py_ssize_t word = ordinal >> 6
        if word >= self.word_count:
            self.resize(word + 1)
        self.words[word] ^= (<uint64_t> 1) << (ordinal & 63)
        return (self.words[word] >> (ordinal & 63)) & 1

    cdef int resize(self, Py_ssize_t word_count) except -1 nogil
    cpdef Py_ssize_t count(self) noexcept nogil
    cpdef void clear(self) noexcept nogil
    cpdef Py_ssize_t memory(self) noexcept nogil
    cpdef object ids(self)
    cpdef bytes to_portable(self)
    cdef void _write_portable(self, char* out, Py_ssize_t containers) noexcept nogil
    cdef void _trim(self) noexcept nogil
