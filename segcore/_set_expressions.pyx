"""Expressions over any number of sets in one pass.

An expression is postfix code: chunk by chunk it is computed whole in the first cache, with no sets
in between, and a chunk that can only be empty is not touched.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from segcore._set_chunks cimport (
    AND,
    AND_NOT,
    CHUNK_BYTES,
    EMPTY,
    OR,
    Value,
    combine,
    count_combined,
    count_of,
    no_value,
)
from segcore._sets cimport Chunk, Draft, Set, abandon, begin, put, room

import enum

cdef extern from "stdlib.h":
    void* aligned_alloc(size_t alignment, size_t size) noexcept nogil

cdef enum:
    OPERAND_MOST = 4096     # in one expression


class Operation(enum.IntEnum):
    """The codes of an expression that are no index of an operand."""

    AND = -1
    OR = -2
    AND_NOT = -3


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
