"""Zeroed cells of one size by ordinal, sparse while that is smaller, else dense."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from segcore._prefetch cimport prefetch

cdef extern from *:
    """
    #include <stdint.h>
    /* Neighbours are spread: ordinals come in rows, and in rows with gaps. */
    static inline uint32_t cells_slot(uint32_t ordinal, int shift) {
        uint64_t mixed = (uint64_t) ordinal * UINT64_C(0x9E3779B97F4A7C15);
        mixed = (mixed ^ (mixed >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
        return (uint32_t) (mixed >> shift);
    }
    """
    uint32_t cells_slot(uint32_t ordinal, int shift) noexcept nogil


@cython.final
cdef class Cells:
    cdef readonly Py_ssize_t cell_bytes
    cdef readonly Py_ssize_t count
    cdef readonly bint dense
    cdef readonly Py_ssize_t capacity  # slots where sparse, ordinals where dense
    cdef char* cells
    cdef void* block  # what `cells` lies in
    cdef uint32_t* keys  # sparse: ordinal + 1 of each slot, 0 where it is free
    cdef int shift  # sparse: 64 - log2(capacity)
    cdef uint64_t* present  # dense: a bit for each ordinal
    cdef uint32_t greatest

    cdef inline void* find(self, uint32_t ordinal) noexcept nogil:
        """Return the cell of an ordinal, or NULL where it was never touched."""
        if self.dense:
            if ordinal < self.capacity and (self.present[ordinal >> 6] >> (ordinal & 63)) & 1:
                return self.cells + ordinal * self.cell_bytes
            return NULL
        return self._probe(ordinal)

    cdef inline void* _probe(self, uint32_t ordinal) noexcept nogil:
        cdef uint32_t mask = <uint32_t> (self.capacity - 1)
        cdef uint32_t slot
        cdef uint32_t key = ordinal + 1
        if self.count == 0:
            return NULL
        slot = cells_slot(ordinal, self.shift)
        while self.keys[slot]:
            if self.keys[slot] == key:
                return self.cells + slot * self.cell_bytes
            slot = (slot + 1) & mask
        return NULL

    cdef inline void prefetch(self, uint32_t ordinal) noexcept nogil:
        """Begin to bring near what `find` of this ordinal will read."""
        cdef uint32_t slot = ordinal
        if not self.dense:
            if self.count == 0:
                return
            slot = cells_slot(ordinal, self.shift)
            prefetch(self.keys + slot)
        elif ordinal >= self.capacity:
            return
        prefetch(self.cells + slot * self.cell_bytes)
        prefetch(self.cells + slot * self.cell_bytes + self.cell_bytes - 1)

    cdef void* touch(self, uint32_t ordinal) except NULL nogil
    cdef int drop(self, uint32_t ordinal) except -1 nogil
    cdef void* step(self, Py_ssize_t* place) noexcept nogil
    cdef void list_ordinals(self, uint32_t* found) noexcept nogil
    cpdef void clear(self) noexcept nogil
    cpdef Py_ssize_t memory(self) noexcept nogil
    cdef int _grow(self, uint32_t ordinal) except -1 nogil
    cdef int _become_sparse(self, Py_ssize_t capacity) except -1 nogil
    cdef int _become_dense(self, Py_ssize_t capacity) except -1 nogil
    cdef char* _adopt(self, uint32_t ordinal) noexcept nogil
    cdef void _close_gap(self, uint32_t gap) noexcept nogil
