"""Whether one ordinal is in a set, asked of the set's portable bytes where they lie.

So a set that is seldom looked at may stay in a mapped file: a look reads its heads and one chunk.
What would be read beyond the end is not there.
"""

from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcpy

cdef enum:
    ARRAY_MOST = 4096
    CHUNK_BYTES = 8192
    PLAIN_COOKIE = 12346
    RUN_COOKIE = 12347
    OFFSETS_LEAST = 4       # with runs, there are offsets from this many chunks on


cdef struct Bytes:
    const uint8_t* data
    Py_ssize_t size


cdef inline uint32_t short_at(const Bytes* found, Py_ssize_t at) noexcept nogil:
    """Return 16 bits, 0 beyond the end."""
    cdef uint16_t value = 0
    if 0 <= at <= found.size - 2:
        memcpy(&value, found.data + at, 2)
    return value


cdef inline uint32_t number_at(const Bytes* found, Py_ssize_t at) noexcept nogil:
    """Return 32 bits, 0 beyond the end."""
    return short_at(found, at) | short_at(found, at + 2) << 16


cdef inline bint bit_at(const Bytes* found, Py_ssize_t at, uint32_t place) noexcept nogil:
    at += place >> 3
    return at < found.size and (found.data[at] >> (place & 7)) & 1


cdef inline bint has_runs(const Bytes* found, Py_ssize_t runs, uint32_t index) noexcept nogil:
    return runs != 0 and bit_at(found, runs, index)


cdef bint portable_has(const uint8_t* data, Py_ssize_t size, uint32_t ordinal) noexcept nogil:
    """Tell whether the set has an ordinal; O(log of its chunks), and of what is in one."""
    cdef Bytes found = Bytes(data, size)
    cdef uint32_t cookie = number_at(&found, 0)
    cdef bint plain = cookie == PLAIN_COOKIE
    cdef uint32_t count = number_at(&found, 4) if plain else (cookie >> 16) + 1
    cdef Py_ssize_t runs = 0 if plain else 4
    cdef Py_ssize_t heads = 8 if plain else 4 + (count + 7) // 8
    cdef int64_t index
    cdef uint32_t before
    cdef Py_ssize_t at
    if not plain and cookie & 0xFFFF != RUN_COOKIE:
        return False
    index = search(&found, heads, 4, count, ordinal >> 16)
    if index < 0 or short_at(&found, heads + 4 * index) != ordinal >> 16:
        return False
    if plain or count >= OFFSETS_LEAST:
        at = number_at(&found, heads + 4 * <Py_ssize_t> count + 4 * index)
    else:
        at = heads + 4 * <Py_ssize_t> count
        for before in range(<uint32_t> index):
            at += chunk_bytes(&found, at, heads, runs, before)
    return chunk_has(&found, at, heads, runs, <uint32_t> index, ordinal & 0xFFFF)


cdef int64_t search(
    const Bytes* found, Py_ssize_t at, Py_ssize_t step, int64_t count, uint32_t wanted
) noexcept nogil:
    """Return the last of `count` ascending places whose 16 bits are at most `wanted`, or -1."""
    cdef int64_t low = 0
    cdef int64_t high = count
    cdef int64_t middle
    while low < high:
        middle = (low + high) >> 1
        if short_at(found, at + step * middle) <= wanted:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef Py_ssize_t chunk_bytes(
    const Bytes* found, Py_ssize_t at, Py_ssize_t heads, Py_ssize_t runs, uint32_t index
) noexcept nogil:
    cdef uint32_t count = short_at(found, heads + 4 * index + 2) + 1
    if has_runs(found, runs, index):
        return 2 + 4 * short_at(found, at)
    return 2 * count if count <= ARRAY_MOST else CHUNK_BYTES


cdef bint chunk_has(
    const Bytes* found, Py_ssize_t at, Py_ssize_t heads, Py_ssize_t runs, uint32_t index,
    uint32_t low
) noexcept nogil:
    cdef uint32_t count = short_at(found, heads + 4 * index + 2) + 1
    cdef int64_t place
    if has_runs(found, runs, index):
        place = search(found, at + 2, 4, short_at(found, at), low)
        return place >= 0 and (
            low - short_at(found, at + 2 + 4 * place) <= short_at(found, at + 4 + 4 * place)
        )
    if count > ARRAY_MOST:
        return bit_at(found, at, low)
    place = search(found, at, 2, count, low)
    return place >= 0 and short_at(found, at + 2 * place) == low


def has(const uint8_t[::1] content not None, uint32_t ordinal):
    """Tell whether the set that these bytes are has an ordinal."""
    return content.shape[0] > 0 and portable_has(&content[0], content.shape[0], ordinal)
