"""A growable set of ordinals as words of bits, and its roaring form.

Word `i` holds ordinals `64 * i` to `64 * i + 63`, lowest bit first. The portable roaring format is
written here and not by a library, so that no list of ordinals is ever made for it: a dense stretch
is copied as it lies. What is read is checked: a set that came from a file is whole or refused.
"""

from array import array

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
    #define BITS_CLONES \
        __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
    #else
    #define BITS_CLONES
    #endif

    BITS_CLONES static int64_t bits_count(const uint64_t *words, int64_t length) {
        int64_t total = 0;
        for (int64_t i = 0; i < length; i++) total += __builtin_popcountll(words[i]);
        return total;
    }
    BITS_CLONES static int64_t bits_list16(const uint64_t *words, int64_t length, uint16_t *out) {
        int64_t count = 0;
        for (int64_t i = 0; i < length; i++)
            for (uint64_t word = words[i]; word; word &= word - 1)
                out[count++] = (uint16_t) (i * 64 + __builtin_ctzll(word));
        return count;
    }
    BITS_CLONES static int64_t bits_list32(const uint64_t *words, int64_t length, uint32_t *out) {
        int64_t count = 0;
        for (int64_t i = 0; i < length; i++) {
            uint64_t word = words[i];
            if (word == UINT64_MAX) {
                for (int bit = 0; bit < 64; bit++) out[count + bit] = (uint32_t) (i * 64 + bit);
                count += 64;
            } else
                for (; word; word &= word - 1)
                    out[count++] = (uint32_t) (i * 64 + __builtin_ctzll(word));
        }
        return count;
    }
    /* Sets the ascending places; returns how many, fewer than given where they do not ascend. */
    static int64_t bits_set16(uint64_t *words, const uint16_t *places, int64_t count) {
        int64_t last = -1;
        for (int64_t i = 0; i < count; i++) {
            uint16_t place;
            memcpy(&place, places + i, sizeof place);
            if (place <= last) return i;
            last = place;
            words[place >> 6] |= (uint64_t) 1 << (place & 63);
        }
        return count;
    }
    /* Sets all from `first` to `last`. */
    static void bits_fill(uint64_t *words, uint32_t first, uint32_t last) {
        uint64_t head = UINT64_MAX << (first & 63), tail = UINT64_MAX >> (63 - (last & 63));
        if (first >> 6 == last >> 6) { words[first >> 6] |= head & tail; return; }
        words[first >> 6] |= head;
        for (uint32_t i = (first >> 6) + 1; i < last >> 6; i++) words[i] = UINT64_MAX;
        words[last >> 6] |= tail;
    }
    """
    int64_t bits_count(const uint64_t* words, int64_t length) noexcept nogil
    int64_t bits_list16(const uint64_t* words, int64_t length, uint16_t* out) noexcept nogil
    int64_t bits_list32(const uint64_t* words, int64_t length, uint32_t* out) noexcept nogil
    int64_t bits_set16(uint64_t* words, const uint16_t* places, int64_t count) noexcept nogil
    void bits_fill(uint64_t* words, uint32_t first, uint32_t last) noexcept nogil

cdef enum:
    CONTAINER_WORDS = 1024  # of 65,536 ordinals
    CONTAINER_BYTES = 8192
    ARRAY_LIMIT = 4096  # an array of more would be larger than the bits
    NO_RUN_COOKIE = 12346
    RUN_COOKIE = 12347
    NO_OFFSET_BELOW = 4  # with runs, so few containers have no table of offsets


@cython.final
cdef class Bits:
    """Words of bits; `words` moves when the set grows. The caller keeps no other count of it."""

    def __init__(self, ordinals=()):
        for ordinal in ordinals:
            self.put(ordinal, True)

    def __dealloc__(self):
        free(self.words)

    def __len__(self):
        return self.count()

    def __contains__(self, uint32_t ordinal):
        return self.get(ordinal)

    def __setitem__(self, uint32_t ordinal, bint bit):
        self.put(ordinal, bit)

    def turn(self, uint32_t ordinal):
        """Flip one ordinal; whether it is in now."""
        return bool(self.flip(ordinal))

    cdef int resize(self, Py_ssize_t word_count) except -1 nogil:
        """Make the set `word_count` words long, zeroed beyond its former end."""
        cdef Py_ssize_t capacity
        cdef uint64_t* moved
        if word_count > self.capacity:
            capacity = max(word_count, self.capacity + self.capacity // 2, 8)
            moved = <uint64_t*> realloc(self.words, capacity * sizeof(uint64_t))
            if moved == NULL:
                with gil:
                    raise MemoryError(f"no memory for {capacity} words of bits")
            self.words = moved
            self.capacity = capacity
        if word_count > self.word_count:
            memset(self.words + self.word_count, 0, (word_count - self.word_count) * 8)
        self.word_count = word_count
        return 0

    cpdef Py_ssize_t count(self) noexcept nogil:
        """Return how many ordinals are in."""
        return bits_count(self.words, self.word_count)

    cpdef void clear(self) noexcept nogil:
        """Let all out, and give the memory back."""
        free(self.words)
        self.words = NULL
        self.word_count = 0
        self.capacity = 0

    cpdef Py_ssize_t memory(self) noexcept nogil:
        """Return how many bytes the words take."""
        return self.capacity * sizeof(uint64_t)

    cpdef object ids(self):
        """Return the ordinals, ascending, as an `array` of 32 bits each."""
        cdef object found = array("I")
        cdef Py_ssize_t count = self.count()
        cdef uint32_t[::1] view
        if count:
            found = found.__class__("I", (0,)) * count
            view = found
            with nogil:
                bits_list32(self.words, self.word_count, &view[0])
        return found

    def bytes(self):
        """Return the words as they lie in memory."""
        return PyBytes_FromStringAndSize(<char*> self.words, self.word_count * sizeof(uint64_t))

    @staticmethod
    def from_bytes(const uint8_t[::1] content not None):
        """Return the set whose `bytes()` these are; ValueError where they are no whole words."""
        cdef Bits made = Bits()
        made.load(content)
        return made

    def load(self, const uint8_t[::1] content not None):
        """Become the set whose `bytes()` these are; ValueError where they are no whole words."""
        if content.shape[0] % sizeof(uint64_t):
            raise ValueError(f"expected words of 8 bytes, found {content.shape[0]} bytes")
        self.resize(content.shape[0] // sizeof(uint64_t))
        if content.shape[0]:
            memcpy(self.words, &content[0], content.shape[0])

    cpdef bytes to_portable(self):
        """Return the set in the portable roaring format, with arrays and bitmaps.

        Two passes over the words: some 60 us and what the copies cost, for ten million ordinals.
        """
        cdef Py_ssize_t containers = 0
        cdef Py_ssize_t size = 8
        cdef Py_ssize_t first, cardinality
        cdef object made
        cdef char* out
        with nogil:
            for first from 0 <= first < self.word_count by CONTAINER_WORDS:
                cardinality = count_container(self, first)
                if cardinality:
                    containers += 1
                    size += 8 + (2 * cardinality if cardinality <= ARRAY_LIMIT else CONTAINER_BYTES)
        made = PyBytes_FromStringAndSize(NULL, size)
        out = PyBytes_AS_STRING(made)
        with nogil:
            self._write_portable(out, containers)
        return made

    cdef void _write_portable(self, char* out, Py_ssize_t containers) noexcept nogil:
        """Write head, descriptions, offsets and containers."""
        cdef char* description = out + 8
        cdef char* offsets = description + 4 * containers
        cdef char* place = offsets + 4 * containers
        cdef Py_ssize_t first, cardinality, length
        put32(out, NO_RUN_COOKIE)
        put32(out + 4, <uint32_t> containers)
        for first from 0 <= first < self.word_count by CONTAINER_WORDS:
            cardinality = count_container(self, first)
            if not cardinality:
                continue
            put16(description, <uint16_t> (first // CONTAINER_WORDS))
            put16(description + 2, <uint16_t> (cardinality - 1))
            put32(offsets, <uint32_t> (place - out))
            description += 4
            offsets += 4
            length = min(<Py_ssize_t> CONTAINER_WORDS, self.word_count - first)
            if cardinality <= ARRAY_LIMIT:
                bits_list16(self.words + first, length, <uint16_t*> place)
                place += 2 * cardinality
            else:
                memcpy(place, self.words + first, 8 * length)
                memset(place + 8 * length, 0, CONTAINER_BYTES - 8 * length)
                place += CONTAINER_BYTES

    @staticmethod
    def from_portable(content):
        """Return the set that is written in the portable roaring format.

        Raises ValueError where it is cut short, has more after its end, or is out of order.
        """
        cdef Bits made = Bits()
        cdef Py_buffer view
        PyObject_GetBuffer(content, &view, PyBUF_SIMPLE)
        try:
            with nogil:
                read_portable(made, <const char*> view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        return made

    cdef void _trim(self) noexcept nogil:
        """Let go of the empty words at the end."""
        while self.word_count and self.words[self.word_count - 1] == 0:
            self.word_count -= 1


cdef inline Py_ssize_t count_container(Bits bits, Py_ssize_t first) noexcept nogil:
    """Count one container."""
    return bits_count(
        bits.words + first, min(<Py_ssize_t> CONTAINER_WORDS, bits.word_count - first)
    )


cdef inline void put16(char* out, uint16_t value) noexcept nogil:
    memcpy(out, &value, 2)


cdef inline void put32(char* out, uint32_t value) noexcept nogil:
    memcpy(out, &value, 4)


cdef inline uint16_t get16(const char* place) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, place, 2)
    return value


cdef inline uint32_t get32(const char* place) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, place, 4)
    return value


cdef int refuse(Py_ssize_t at, str what) except -1 nogil:
    with gil:
        raise ValueError(f"expected {what} at byte {at} of a portable roaring bitmap, found none")


cdef int read_portable(Bits made, const char* content, Py_ssize_t length) except -1 nogil:
    """Read head and descriptions, then each container; offsets are skipped, since none overlap."""
    cdef Py_ssize_t index, key
    cdef Py_ssize_t containers = 0
    cdef Py_ssize_t at = 8
    cdef Py_ssize_t last_key = -1
    cdef const char* runs = NULL
    cdef const char* description
    if length < 8:
        refuse(length, "eight bytes of head")
    if get32(content) == NO_RUN_COOKIE:
        containers = get32(content + 4)
    elif get16(content) == RUN_COOKIE:
        containers = get16(content + 2) + 1
        runs = content + 4
        at = 4 + (containers + 7) // 8
    else:
        refuse(0, "a known cookie")
    if containers > 65536:
        refuse(4, "at most 65536 containers")
    description = content + at
    at += 4 * containers
    if runs == NULL or containers >= NO_OFFSET_BELOW:
        at += 4 * containers
    if at > length:
        refuse(length, "the rest of the head")
    for index in range(containers):
        key = get16(description + 4 * index)
        if key <= last_key:
            refuse(at, "a container after the last one")
        last_key = key
        made.resize((key + 1) * CONTAINER_WORDS)
        at += read_container(
            made.words + key * CONTAINER_WORDS,
            get16(description + 4 * index + 2) + 1,
            runs != NULL and (runs[index >> 3] >> (index & 7)) & 1,
            content,
            at,
            length,
        )
    if at != length:
        refuse(at, "the end")
    made._trim()
    return 0


cdef Py_ssize_t read_container(
    uint64_t* words,
    Py_ssize_t cardinality,
    bint of_runs,
    const char* content,
    Py_ssize_t at,
    Py_ssize_t length,
) except -1 nogil:
    """Set the bits of one container and return how many bytes it takes."""
    cdef Py_ssize_t size
    if of_runs:
        return read_runs(words, cardinality, content, at, length)
    size = 2 * cardinality if cardinality <= ARRAY_LIMIT else CONTAINER_BYTES
    if at + size > length:
        refuse(length, "the rest of a container")
    if cardinality <= ARRAY_LIMIT:
        if bits_set16(words, <const uint16_t*> (content + at), cardinality) != cardinality:
            refuse(at, "ascending ordinals")
    else:
        memcpy(words, content + at, CONTAINER_BYTES)
        if bits_count(words, CONTAINER_WORDS) != cardinality:
            refuse(at, "as many ordinals as the head says")
    return size


cdef Py_ssize_t read_runs(
    uint64_t* words,
    Py_ssize_t cardinality,
    const char* content,
    Py_ssize_t at,
    Py_ssize_t length,
) except -1 nogil:
    """Set the bits of a container of runs and return how many bytes it takes."""
    cdef Py_ssize_t count, index, first, last
    cdef Py_ssize_t end = -1
    cdef Py_ssize_t found = 0
    if at + 2 > length:
        refuse(length, "the number of runs")
    count = get16(content + at)
    if at + 2 + 4 * count > length:
        refuse(length, "the rest of the runs")
    for index in range(count):
        first = get16(content + at + 2 + 4 * index)
        last = first + get16(content + at + 4 + 4 * index)
        if first <= end or last > 65535:
            refuse(at, "ascending runs")
        bits_fill(words, <uint32_t> first, <uint32_t> last)
        found += last - first + 1
        end = last
    if found != cardinality:
        refuse(at, "as many ordinals as the head says")
    return 2 + 4 * count
