"""The dictionary of texts: each distinct text has one id, dense from 1."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from segcore._columns cimport ByteColumn, Int64Column


cdef class Texts:
    cdef ByteColumn arena
    cdef Int64Column ends
    cdef uint32_t* slots
    cdef uint64_t mask
    cdef int _rehash(self, uint64_t slot_count) except -1 nogil
    cdef int forget(self, Py_ssize_t count) except -1
    cdef uint32_t find(self, const char* data, Py_ssize_t length) noexcept nogil
    cdef uint32_t intern(self, str text) except 0
    cdef uint32_t intern_bytes(self, const char* data, Py_ssize_t length) except 0 nogil
    cdef int64_t derive(self, const char* data, Py_ssize_t length) noexcept nogil
    cdef int64_t id_of(self, str text) except -1
    cdef str text(self, uint32_t text_id)
    cdef int compare(self, uint32_t left, uint32_t right) noexcept nogil
    cdef bint starts_with(self, uint32_t text_id, uint32_t argument) noexcept nogil
    cdef bint ends_with(self, uint32_t text_id, uint32_t argument) noexcept nogil
    cdef bint contains(self, uint32_t text_id, uint32_t argument) noexcept nogil
