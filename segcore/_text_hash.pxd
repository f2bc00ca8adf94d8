"""How texts are hashed, for the dictionary and for who looks ahead into it."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef extern from *:
    void prefetch "__builtin_prefetch" (const void* place) noexcept nogil


cdef inline uint64_t hash_bytes(const char* data, Py_ssize_t length) noexcept nogil:
    """Mix eight bytes at a time; fixed, so that nothing depends on the process."""
    cdef uint64_t state = 0x9E3779B97F4A7C15ULL ^ <uint64_t> length
    cdef uint64_t word
    while length >= 8:
        memcpy(&word, data, 8)
        state = (state ^ word) * 0xD6E8FEB86659FD93ULL
        state ^= state >> 32
        data += 8
        length -= 8
    if length > 0:
        word = 0
        memcpy(&word, data, length)
        state = (state ^ word) * 0xD6E8FEB86659FD93ULL
        state ^= state >> 32
    return state
