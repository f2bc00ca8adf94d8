"""Sets of ordinals, and what one operation makes of two.

A set never changes. Its chunks of 65,536 ordinals are sorted arrays up to ARRAY_MOST ordinals and
bitmaps beyond.
"""

from libc.stdint cimport int32_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from segcore._bits cimport Bits
from segcore._set_chunks cimport (
    AND,
    AND_NOT,
    ARRAY,
    ARRAY_MOST,
    CHUNK_BYTES,
    CHUNK_WORDS,
    EMPTY,
    OR,
    SPARE_MOST,
    UNKNOWN,
    WORDS,
    combine,
    count_common,
    count_of,
)
from segcore._set_words cimport sets_list, sets_lowest

from array import array

cdef extern from "stdlib.h":
    void* aligned_alloc(size_t alignment, size_t size) noexcept nogil


cdef int begin(Draft* draft, Py_ssize_t chunk_most, size_t capacity) except -1 nogil:
    memset(draft, 0, sizeof(Draft))
    draft.capacity = (capacity + 2 * CHUNK_BYTES) & ~<size_t> 63
    draft.block = <char*> aligned_alloc(64, draft.capacity)
    draft.chunks = <Chunk*> malloc(max(1, chunk_most) * sizeof(Chunk))
    if draft.block == NULL or draft.chunks == NULL:
        abandon(draft)
        with gil:
            raise MemoryError(f"no memory for a set of {capacity} bytes")
    return 0


cdef int abandon(Draft* draft) noexcept nogil:
    free(draft.block)
    free(draft.chunks)
    return 0


cdef char* room(Draft* draft) except NULL nogil:
    """Return the place of the next chunk, with room for a bitmap there."""
    cdef char* moved
    cdef size_t capacity
    draft.size = (draft.size + 63) & ~<size_t> 63
    if draft.size + CHUNK_BYTES > draft.capacity:
        capacity = 2 * draft.capacity
        moved = <char*> aligned_alloc(64, capacity)
        if moved == NULL:
            with gil:
                raise MemoryError(f"no memory for a set of {capacity} bytes")
        memcpy(moved, draft.block, draft.size)
        free(draft.block)
        draft.block, draft.capacity = moved, capacity
    return draft.block + draft.size


cdef int put(Draft* draft, uint32_t key, Value* value) noexcept nogil:
    """Add a chunk at the place that `room` gave; the value may lie there or elsewhere."""
    cdef char* place = draft.block + draft.size
    cdef uint16_t ordinals[SPARE_MOST]
    cdef Chunk* chunk
    if value.form == EMPTY or count_of(value) == 0:
        return 0
    if value.form == WORDS and value.count <= SPARE_MOST:
        sets_list(<const uint64_t*> value.data, ordinals)
        value.form, value.data = ARRAY, <const char*> ordinals
    if value.data != place:
        memcpy(place, value.data, CHUNK_BYTES if value.form == WORDS else 2 * value.count)
    chunk = draft.chunks + draft.chunk_count
    chunk.key = key
    chunk.value = Value(value.form, value.count, <const char*> draft.size)
    draft.chunk_count += 1
    draft.size += CHUNK_BYTES if value.form == WORDS else 2 * value.count
    draft.count += value.count
    return 0


cdef class Set:
    """An immutable set of ordinals."""

    def __dealloc__(self):
        free(self.chunks)
        free(self.block)

    cdef int take(self, Draft* draft) except -1 nogil:
        """Own what was drafted; a block that is mostly empty is replaced by one that fits."""
        cdef Py_ssize_t index
        cdef char* fitting
        if draft.capacity > 2 * draft.size + 4 * CHUNK_BYTES:
            fitting = <char*> aligned_alloc(64, (draft.size + 127) & ~<size_t> 63)
            if fitting != NULL:
                memcpy(fitting, draft.block, draft.size)
                free(draft.block)
                draft.block = fitting
        for index in range(draft.chunk_count):
            draft.chunks[index].value.data = (
                draft.block + <size_t> draft.chunks[index].value.data
            )
        self.chunks, self.chunk_count = draft.chunks, draft.chunk_count
        self.block, self.size, self.count = draft.block, draft.size, draft.count
        return 0

    def __len__(self):
        return self.count

    def __contains__(self, uint32_t ordinal):
        cdef uint16_t low[32]       # whole lines are read
        cdef Value one = Value(ARRAY, 1, <const char*> low)
        cdef Py_ssize_t index
        low[0] = <uint16_t> ordinal
        for index in range(self.chunk_count):
            if self.chunks[index].key == ordinal >> 16:
                return count_common(&one, &self.chunks[index].value) == 1
        return False

    def __eq__(self, other):
        cdef Set right
        if not isinstance(other, Set):
            return NotImplemented
        right = other
        return self.count == right.count and self.common(right) == self.count

    __hash__ = None

    def __and__(Set self, Set other not None):
        return pair(self, other, AND)

    def __or__(Set self, Set other not None):
        return pair(self, other, OR)

    def __sub__(Set self, Set other not None):
        return pair(self, other, AND_NOT)

    def common(Set self, Set other not None):
        """Return how many are in both."""
        cdef int64_t count = 0
        cdef Chunk* left = self.chunks
        cdef Chunk* right = other.chunks
        with nogil:
            while left < self.chunks + self.chunk_count and right < other.chunks + other.chunk_count:
                if left.key == right.key:
                    count += count_common(&left.value, &right.value)
                    left += 1
                    right += 1
                elif left.key < right.key:
                    left += 1
                else:
                    right += 1
        return count

    @property
    def memory(self):
        """How many bytes the set takes."""
        return self.size + self.chunk_count * sizeof(Chunk)

    def ids(self):
        """Return the ordinals, ascending."""
        cdef Py_ssize_t index, word, at = 0
        cdef uint32_t base
        cdef uint64_t bits
        cdef Chunk* chunk
        ids = array("I", bytes(4 * self.count))
        cdef uint32_t[::1] places = ids
        for index in range(self.chunk_count):
            chunk = self.chunks + index
            base = chunk.key << 16
            if chunk.value.form == ARRAY:
                for word in range(chunk.value.count):
                    places[at] = base | (<const uint16_t*> chunk.value.data)[word]
                    at += 1
                continue
            for word in range(CHUNK_WORDS):
                bits = (<const uint64_t*> chunk.value.data)[word]
                while bits:
                    places[at] = base | <uint32_t> (word << 6) | <uint32_t> sets_lowest(bits)
                    at += 1
                    bits &= bits - 1
        return ids

    @staticmethod
    def from_ids(const uint32_t[::1] ids not None):
        """Return the set of these ordinals; raises ValueError unless they ascend."""
        cdef Set found = Set.__new__(Set)
        cdef Py_ssize_t index, start = 0, end = ids.shape[0]
        cdef Draft draft
        for index in range(1, end):
            if ids[index] <= ids[index - 1]:
                raise ValueError(f"expected ordinals that ascend, found {ids[index]} at {index}")
        begin(&draft, min(end, 1 << 16), 2 * end)
        try:
            while start < end:
                index = start
                while index < end and ids[index] >> 16 == ids[start] >> 16:
                    index += 1
                put_ids(&draft, &ids[start], index - start)
                start = index
        except BaseException:
            abandon(&draft)
            raise
        found.take(&draft)
        return found

    @staticmethod
    def from_bits(Bits bits not None):
        """Return the set of the ordinals that are in `bits` now."""
        return set_of_words(bits.words, bits.word_count)


cdef int put_ids(Draft* draft, const uint32_t* ids, Py_ssize_t count) except -1 nogil:
    """Add the chunk of ordinals that ascend and share their upper half."""
    cdef uint16_t few[ARRAY_MOST]
    cdef uint64_t* words = <uint64_t*> room(draft)
    cdef Value value = Value(WORDS, <int32_t> count, <const char*> words)
    cdef Py_ssize_t index
    if count <= ARRAY_MOST:
        for index in range(count):
            few[index] = <uint16_t> ids[index]
        value = Value(ARRAY, <int32_t> count, <const char*> few)
    else:
        memset(words, 0, CHUNK_BYTES)
        for index in range(count):
            words[<uint16_t> ids[index] >> 6] |= <uint64_t> 1 << (ids[index] & 63)
    put(draft, ids[0] >> 16, &value)
    return 0


cdef Set set_of_words(const uint64_t* words, Py_ssize_t word_count):
    """Return the set of the bits."""
    cdef Set found = Set.__new__(Set)
    cdef Py_ssize_t start = 0, part
    cdef uint64_t last[CHUNK_WORDS]
    cdef Value value
    cdef Draft draft
    begin(&draft, (word_count + CHUNK_WORDS - 1) // CHUNK_WORDS, 8 * word_count)
    try:
        with nogil:
            while start < word_count:
                value = Value(WORDS, UNKNOWN, <const char*> (words + start))
                part = word_count - start
                if part < CHUNK_WORDS:
                    memset(last, 0, CHUNK_BYTES)
                    memcpy(last, words + start, part * 8)
                    value.data = <const char*> last
                room(&draft)
                put(&draft, <uint32_t> (start // CHUNK_WORDS), &value)
                start += CHUNK_WORDS
    except BaseException:
        abandon(&draft)
        raise
    found.take(&draft)
    return found


cdef Set pair(Set first, Set second, int32_t operation):
    """Return what one operation makes of two sets."""
    cdef Set found = Set.__new__(Set)
    cdef Draft draft
    cdef size_t capacity = first.size
    cdef Py_ssize_t chunk_most = first.chunk_count
    if operation == OR:
        capacity += second.size
        chunk_most += second.chunk_count
    begin(&draft, chunk_most, capacity)
    try:
        with nogil:
            write_pair(first, second, operation, &draft)
    except BaseException:
        abandon(&draft)
        raise
    found.take(&draft)
    return found


cdef int write_pair(Set first, Set second, int32_t operation, Draft* draft) except -1 nogil:
    cdef Chunk* left = first.chunks
    cdef Chunk* right = second.chunks
    cdef Chunk* left_end = left + first.chunk_count
    cdef Chunk* right_end = right + second.chunk_count
    cdef Value result
    cdef char* out
    while left < left_end and right < right_end:
        if left.key == right.key:
            out = room(draft)
            result = combine(operation, &left.value, &right.value, out, True)
            put(draft, left.key, &result)
            left += 1
            right += 1
        elif left.key < right.key:
            if operation != AND:
                copy(draft, left)
            left += 1
        else:
            if operation == OR:
                copy(draft, right)
            right += 1
    while operation != AND and left < left_end:
        copy(draft, left)
        left += 1
    while operation == OR and right < right_end:
        copy(draft, right)
        right += 1
    return 0


cdef int copy(Draft* draft, Chunk* chunk) except -1 nogil:
    cdef Value value = chunk.value
    room(draft)
    return put(draft, chunk.key, &value)
