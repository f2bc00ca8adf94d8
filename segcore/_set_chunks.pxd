"""A chunk of a set, of 65,536 ordinals: nothing, a sorted array or a bitmap; and two of them to one."""

from libc.stdint cimport int32_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from segcore._set_words cimport (
    sets_add,
    sets_and,
    sets_and_counted,
    sets_andnot,
    sets_andnot_counted,
    sets_common,
    sets_filter,
    sets_hits,
    sets_meet,
    sets_merge,
    sets_or,
    sets_or_counted,
    sets_remove,
)

cdef enum:
    EMPTY = 0
    ARRAY = 1
    WORDS = 2
    UNKNOWN = -1
    CHUNK_WORDS = 1024
    CHUNK_BYTES = 8192
    ARRAY_MOST = 256        # ordinals of an array; a bitmap of more is met faster
    SPARE_MOST = 96         # of a chunk that was computed: a bitmap costs less time to make


cdef struct Value:          # what an expression comes to in one chunk
    int32_t form            # EMPTY, ARRAY or WORDS
    int32_t count           # UNKNOWN where nobody asked for it
    const char* data


cdef enum:                  # the codes of an expression that are no index of an operand
    AND = -1
    OR = -2
    AND_NOT = -3


cdef inline Value no_value() noexcept nogil:
    return Value(EMPTY, 0, NULL)


cdef inline int32_t count_words(const uint64_t* words) noexcept nogil:
    return sets_common(words, words)


cdef inline int32_t count_of(Value* value) noexcept nogil:
    if value.count == UNKNOWN:
        value.count = count_words(<const uint64_t*> value.data)
    return value.count


cdef inline int32_t count_common(Value* left, Value* right) noexcept nogil:
    """Return how many are in both."""
    if left.form == EMPTY or right.form == EMPTY:
        return 0
    if left.form == WORDS and right.form == WORDS:
        return sets_common(<const uint64_t*> left.data, <const uint64_t*> right.data)
    if left.form == WORDS:
        return sets_hits(<const uint16_t*> right.data, right.count, <const uint64_t*> left.data)
    if right.form == WORDS:
        return sets_hits(<const uint16_t*> left.data, left.count, <const uint64_t*> right.data)
    if left.count < right.count:
        left, right = right, left
    return sets_meet(
        <const uint16_t*> left.data, left.count, <const uint16_t*> right.data, right.count, 1, NULL
    )


cdef inline int32_t count_combined(int32_t operation, Value* left, Value* right) noexcept nogil:
    cdef int32_t common = count_common(left, right)
    if operation == AND:
        return common
    if operation == AND_NOT:
        return count_of(left) - common
    return count_of(left) + count_of(right) - common


cdef inline void add_counted(Value* value, int32_t change) noexcept nogil:
    if value.count != UNKNOWN:
        value.count += change


cdef inline Value unite(Value* left, Value* right, char* out, bint counted) noexcept nogil:
    cdef Value result
    cdef uint64_t* words = <uint64_t*> out
    if left.form == EMPTY:
        return right[0]
    if right.form == EMPTY:
        return left[0]
    if left.form == ARRAY and right.form == ARRAY and left.count + right.count <= ARRAY_MOST:
        result.count = sets_merge(
            <const uint16_t*> left.data, left.count,
            <const uint16_t*> right.data, right.count, <uint16_t*> out,
        )
        result.form = ARRAY
    elif left.form == WORDS and right.form == WORDS:
        result.form, result.count = WORDS, UNKNOWN
        if counted:
            result.count = sets_or_counted(
                <const uint64_t*> left.data, <const uint64_t*> right.data, words
            )
        else:
            sets_or(<const uint64_t*> left.data, <const uint64_t*> right.data, words)
    else:
        result.form, result.count = WORDS, 0
        if left.form == WORDS:
            memcpy(out, left.data, CHUNK_BYTES)
            result.count = left.count
        elif right.form == WORDS:
            memcpy(out, right.data, CHUNK_BYTES)
            result.count = right.count
        else:
            memset(out, 0, CHUNK_BYTES)
        if left.form == ARRAY:
            add_counted(&result, sets_add(words, <const uint16_t*> left.data, left.count))
        if right.form == ARRAY:
            add_counted(&result, sets_add(words, <const uint16_t*> right.data, right.count))
    result.data = out
    return result


cdef inline Value filter_array(Value* left, Value* right, int wanted, char* out) noexcept nogil:
    """Return the ordinals of an array that are in `right` (wanted), or that are not."""
    cdef Value result
    result.form, result.data = ARRAY, out
    if right.form == WORDS:
        result.count = sets_filter(
            <const uint16_t*> left.data, left.count, <const uint64_t*> right.data, wanted,
            <uint16_t*> out,
        )
    else:
        result.count = sets_meet(
            <const uint16_t*> left.data, left.count,
            <const uint16_t*> right.data, right.count, wanted, <uint16_t*> out,
        )
    return no_value() if result.count == 0 else result


cdef inline Value intersect(Value* left, Value* right, char* out, bint counted) noexcept nogil:
    cdef Value result
    if left.form == EMPTY or right.form == EMPTY:
        return no_value()
    if left.form == ARRAY and (right.form == WORDS or left.count >= right.count):
        return filter_array(left, right, 1, out)
    if right.form == ARRAY:
        return filter_array(right, left, 1, out)
    result.form, result.count, result.data = WORDS, UNKNOWN, out
    if counted:
        result.count = sets_and_counted(
            <const uint64_t*> left.data, <const uint64_t*> right.data, <uint64_t*> out
        )
    else:
        sets_and(<const uint64_t*> left.data, <const uint64_t*> right.data, <uint64_t*> out)
    return result


cdef inline Value subtract(Value* left, Value* right, char* out, bint counted) noexcept nogil:
    cdef Value result
    if left.form == EMPTY or right.form == EMPTY:
        return left[0]
    if left.form == ARRAY:
        return filter_array(left, right, 0, out)
    result.form, result.count, result.data = WORDS, left.count, out
    if right.form == ARRAY:
        memcpy(out, left.data, CHUNK_BYTES)
        add_counted(
            &result, -sets_remove(<uint64_t*> out, <const uint16_t*> right.data, right.count)
        )
    elif counted:
        result.count = sets_andnot_counted(
            <const uint64_t*> left.data, <const uint64_t*> right.data, <uint64_t*> out
        )
    else:
        result.count = UNKNOWN
        sets_andnot(<const uint64_t*> left.data, <const uint64_t*> right.data, <uint64_t*> out)
    return result


cdef inline Value combine(
    int32_t operation, Value* left, Value* right, char* out, bint counted
) noexcept nogil:
    if operation == AND:
        return intersect(left, right, out, counted)
    if operation == OR:
        return unite(left, right, out, counted)
    return subtract(left, right, out, counted)
