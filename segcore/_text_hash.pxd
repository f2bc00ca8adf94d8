"""Texts as words: eight bytes at a time, read, hashed and compared."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    static inline unsigned long long fold(unsigned long long left, unsigned long long right) {
        unsigned __int128 product = (unsigned __int128) left * right;
        return (unsigned long long) product ^ (unsigned long long) (product >> 64);
    }

    static const unsigned char MASKS[48] = {    // from the place 24 - n on: n bytes of a text
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    };
    """
    const uint8_t MASKS[48]
    uint64_t fold(uint64_t left, uint64_t right) noexcept nogil

cdef enum:
    SPELLED_BYTES = 24      # the longest text that three words hold

cdef struct Text:           # where a text lies
    const char* data
    Py_ssize_t length

cdef struct Spelled:        # with its length, these words are a text
    uint64_t first
    uint64_t middle
    uint64_t last


cdef inline uint64_t load_word(const void* at) noexcept nogil:
    """Return eight bytes; the machines that we run on are little endian, as the wire is."""
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint64_t short_word(const char* data, Py_ssize_t length) noexcept nogil:
    """Return one to seven bytes, and zeros after them."""
    cdef const uint8_t* at = <const uint8_t*> data
    cdef uint32_t head, tail
    if length >= 4:
        memcpy(&head, at, 4)
        memcpy(&tail, at + length - 4, 4)
        return head | <uint64_t> tail << 8 * (length - 4)
    # The first byte, the middle one and the last: all that there are.
    return (
        <uint64_t> at[length - 1] << 8 * (length - 1)
        | <uint64_t> at[length >> 1] << 8 * (length >> 1)
        | at[0]
    )


cdef inline Spelled spell_near(const char* data, Py_ssize_t length) noexcept nogil:
    """Return a text of at most SPELLED_BYTES as words; that many bytes have to be there to look at.

    Lengths differ from text to text, so that a branch on them would often be foretold wrongly.
    """
    cdef Spelled words
    cdef const uint8_t* mask = &MASKS[SPELLED_BYTES - length]
    words.first = load_word(data) & load_word(mask)
    words.middle = load_word(data + 8) & load_word(mask + 8)
    words.last = load_word(data + 16) & load_word(mask + 16)
    return words


cdef inline Spelled spell(const char* data, Py_ssize_t length) noexcept nogil:
    """Return a text of at most SPELLED_BYTES as words, and look at nothing else."""
    cdef char whole[SPELLED_BYTES]
    memcpy(whole, data, length)
    return spell_near(whole, length)


cdef inline uint64_t mix(uint64_t state, uint64_t word) noexcept nogil:
    return fold(state ^ word, 0xD6E8FEB86659FD93ULL)


cdef inline uint64_t hash_words(const Spelled* words, Py_ssize_t length) noexcept nogil:
    cdef uint64_t most = fold(
        words.first ^ 0x9E3779B97F4A7C15ULL,
        words.middle ^ 0xA0761D6478BD642FULL ^ <uint64_t> length,
    )
    return mix(most, words.last)


cdef inline uint64_t hash_bytes(const char* data, Py_ssize_t length) noexcept nogil:
    """Return the hash of a text; fixed, so that nothing depends on the process."""
    cdef Spelled words
    if length > SPELLED_BYTES:
        return hash_long(data, length)
    words = spell(data, length)
    return hash_words(&words, length)


cdef inline uint64_t hash_near(const char* data, Py_ssize_t length) noexcept nogil:
    """Return the same of a text behind which there are SPELLED_BYTES to look at."""
    cdef Spelled words
    if length > SPELLED_BYTES:
        return hash_long(data, length)
    words = spell_near(data, length)
    return hash_words(&words, length)


cdef inline uint64_t hash_long(const char* data, Py_ssize_t length) noexcept nogil:
    cdef const char* last = data + length - 8
    cdef uint64_t state = 0x9E3779B97F4A7C15ULL ^ <uint64_t> length
    while data < last:
        state = mix(state, load_word(data))
        data += 8
    return mix(state, load_word(last))


cdef inline bint same_bytes(const char* left, const char* right, Py_ssize_t length) noexcept nogil:
    """Tell whether two texts of one length are the same."""
    cdef Py_ssize_t place = 0
    if length < 8:
        return length == 0 or short_word(left, length) == short_word(right, length)
    while place < length - 8:
        if load_word(left + place) != load_word(right + place):
            return False
        place += 8
    return load_word(left + length - 8) == load_word(right + length - 8)


cdef inline void copy_bytes(char* to, const char* data, Py_ssize_t length) noexcept nogil:
    """Copy a short text without a call; up to seven bytes behind it are overwritten."""
    cdef uint64_t word
    cdef Py_ssize_t place = 0
    if length >= 8:
        while place < length - 8:
            memcpy(to + place, data + place, 8)
            place += 8
        memcpy(to + length - 8, data + length - 8, 8)
    elif length:
        word = short_word(data, length)
        memcpy(to, &word, 8)
