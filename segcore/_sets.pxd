"""Sets of ordinals in chunks of 65,536, each a sorted array or a bitmap of 1,024 words."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._set_chunks cimport Value


cdef struct Chunk:
    uint32_t key            # the upper 16 bits of its ordinals
    Value value


cdef struct Draft:          # a set that is being written: data of its chunks are offsets into `block`
    Chunk* chunks
    Py_ssize_t chunk_count
    char* block
    size_t size
    size_t capacity
    int64_t count


cdef class Set:
    cdef Chunk* chunks
    cdef Py_ssize_t chunk_count
    cdef char* block
    cdef size_t size
    cdef readonly int64_t count
    cdef int take(self, Draft* draft) except -1 nogil


cdef int begin(Draft* draft, Py_ssize_t chunk_most, size_t capacity) except -1 nogil
cdef char* room(Draft* draft) except NULL nogil
cdef int put(Draft* draft, uint32_t key, Value* value) noexcept nogil
cdef int abandon(Draft* draft) noexcept nogil
cdef Set set_of_words(const uint64_t* words, Py_ssize_t word_count)
