"""Sets of ordinals, and expressions over any number of them in one pass.

A set never changes. Its chunks of 65,536 ordinals are sorted arrays up to ARRAY_MOST ordinals and
bitmaps beyond. An expression is postfix code over sets: chunk by chunk it is computed whole in the
first cache, with no sets in between, and a chunk that can only be empty is not touched.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t
from libc.stdlib cimport calloc, free, malloc
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
    count_combined,
    count_common,
    count_of,
    no_value,
)
from segcore._set_words cimport sets_list, sets_lowest

import enum
from array import array

cdef extern from "stdlib.h":
    void* aligned_alloc(size_t alignment, size_t size) noexcept nogil

cdef enum:
    OPERAND_MOST = 4096     # in one expression


class Operation(enum.IntEnum):
    """The codes of an expression that are no index of an operand."""

    AND = -1
    OR = -2
    AND_NOT = -3


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


# Expressions.


cdef struct Work:               # one expression while it is computed
    const int32_t* code
    Py_ssize_t length
    Chunk** next                # of each operand, the chunk that comes next, and where they end
    Chunk** ends
    Value* operands             # in the chunk at hand
    Py_ssize_t operand_count
    Value* stack
    char* scratch
    char** rooms                # two bitmaps for each place of the stack; the value is in the first


cdef int64_t next_key(Work* work) noexcept nogil:
    """Take the operands' chunks of the least key that is left; -1 where none is."""
    cdef int64_t least = 1 << 16
    cdef Py_ssize_t index
    for index in range(work.operand_count):
        if work.next[index] < work.ends[index] and work.next[index].key < least:
            least = work.next[index].key
    if least == 1 << 16:
        return -1
    for index in range(work.operand_count):
        if work.next[index] < work.ends[index] and work.next[index].key == least:
            work.operands[index] = work.next[index].value
            work.next[index] += 1
        else:
            work.operands[index] = no_value()
    return least


cdef bint may_matter(Work* work) noexcept nogil:
    """Return whether the result may hold anything, from which operands are empty here."""
    cdef uint8_t* top = <uint8_t*> work.stack - 1
    cdef Py_ssize_t index
    for index in range(work.length):
        if work.code[index] >= 0:
            top += 1
            top[0] = work.operands[work.code[index]].form != EMPTY
            continue
        top -= 1
        if work.code[index] == AND:
            top[0] &= top[1]
        elif work.code[index] == OR:
            top[0] |= top[1]
    return top[0]


cdef Value* compute(Work* work) noexcept nogil:
    """Compute all but the last step; the two operands of that one, or the value, are on top."""
    cdef Py_ssize_t index, place = -1
    cdef Value result
    cdef char* out
    for index in range(work.length - (work.length > 1)):
        if work.code[index] >= 0:
            place += 1
            work.stack[place] = work.operands[work.code[index]]
            continue
        place -= 1
        out = work.rooms[2 * place + 1]
        result = combine(
            work.code[index], &work.stack[place], &work.stack[place + 1], out, False
        )
        if result.data == out:
            exchange(work, 2 * place, 2 * place + 1)
        elif result.data == work.rooms[2 * place + 2]:
            exchange(work, 2 * place, 2 * place + 2)
        work.stack[place] = result
    return work.stack


cdef inline int exchange(Work* work, Py_ssize_t one, Py_ssize_t other) noexcept nogil:
    cdef char* kept = work.rooms[one]
    work.rooms[one] = work.rooms[other]
    work.rooms[other] = kept
    return 0


cdef int64_t measure_all(Work* work) noexcept nogil:
    cdef int64_t count = 0
    cdef Value* values
    while next_key(work) >= 0:
        if work.length > 3 and not may_matter(work):
            continue
        values = compute(work)
        if work.length == 1:
            count += count_of(&values[0])
        else:
            count += count_combined(work.code[work.length - 1], &values[0], &values[1])
    return count


cdef int write_all(Work* work, Draft* draft) except -1 nogil:
    cdef int64_t key = next_key(work)
    cdef Value* values
    cdef Value result
    cdef char* out
    while key >= 0:
        if work.length <= 3 or may_matter(work):
            values = compute(work)
            out = room(draft)
            result = values[0]
            if work.length > 1:
                result = combine(
                    work.code[work.length - 1], &values[0], &values[1], out, True
                )
            put(draft, <uint32_t> key, &result)
        key = next_key(work)
    return 0


cdef class Evaluation:
    """An expression over sets: checked, and with the memory that it is computed in."""

    cdef Work work
    cdef list operands
    cdef int32_t* code

    def __cinit__(self, code, operands):
        cdef Py_ssize_t index, depth
        cdef Set operand
        self.operands = list(operands)
        depth = self._check(code)
        self.work.length = len(code)
        self.work.operand_count = len(self.operands)
        self.code = <int32_t*> calloc(self.work.length, sizeof(int32_t))
        self.work.next = <Chunk**> calloc(self.work.operand_count, sizeof(Chunk*))
        self.work.ends = <Chunk**> calloc(self.work.operand_count, sizeof(Chunk*))
        self.work.operands = <Value*> calloc(self.work.operand_count, sizeof(Value))
        self.work.stack = <Value*> calloc(depth, sizeof(Value))
        self.work.rooms = <char**> calloc(2 * depth, sizeof(char*))
        self.work.scratch = <char*> aligned_alloc(64, 2 * depth * CHUNK_BYTES)
        if not (
            self.code and self.work.next and self.work.ends and self.work.operands
            and self.work.stack and self.work.rooms and self.work.scratch
        ):
            raise MemoryError(f"no memory for an expression of {self.work.length} steps")
        self.work.code = self.code
        for index in range(2 * depth):
            self.work.rooms[index] = self.work.scratch + index * CHUNK_BYTES
        for index, step in enumerate(code):
            self.code[index] = step
        for index, operand in enumerate(self.operands):
            self.work.next[index] = operand.chunks
            self.work.ends[index] = operand.chunks + operand.chunk_count

    def __dealloc__(self):
        free(self.code)
        free(self.work.next)
        free(self.work.ends)
        free(self.work.operands)
        free(self.work.stack)
        free(self.work.rooms)
        free(self.work.scratch)

    cdef Py_ssize_t _check(self, code) except -1:
        """Return the depth of the stack; raises ValueError where the code is no expression."""
        cdef Py_ssize_t depth = 0, deepest = 0
        if len(self.operands) > OPERAND_MOST:
            raise ValueError(
                f"expected at most {OPERAND_MOST} operands, found {len(self.operands)}"
            )
        for step in code:
            if not AND_NOT <= step < len(self.operands):
                raise ValueError(
                    f"expected an operation or an index below {len(self.operands)}, found {step}"
                )
            depth += 1 if step >= 0 else -1
            deepest = max(deepest, depth)
            if depth < 1:
                raise ValueError("expected two values before each operation")
        if depth != 1:
            raise ValueError(f"expected code that leaves one value, found {depth}")
        return deepest


def measure(code, operands):
    """Return how many ordinals `evaluate` would give, without a set."""
    cdef Evaluation evaluation = Evaluation(code, operands)
    cdef int64_t count
    with nogil:
        count = measure_all(&evaluation.work)
    return count


def evaluate(code, operands):
    """Return the set that postfix code comes to: indexes of operands, and `Operation`s.

    Raises ValueError where the code is no expression.
    """
    cdef Evaluation evaluation = Evaluation(code, operands)
    cdef Set operand
    cdef Set found = Set.__new__(Set)
    cdef size_t capacity = 0
    cdef Py_ssize_t chunk_most = 0
    cdef Draft draft
    for operand in evaluation.operands:
        capacity = max(capacity, operand.size)
        chunk_most += operand.chunk_count
    begin(&draft, chunk_most, capacity)
    try:
        with nogil:
            write_all(&evaluation.work, &draft)
    except BaseException:
        abandon(&draft)
        raise
    found.take(&draft)
    return found
