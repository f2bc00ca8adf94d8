"""Sets in the portable roaring format, as every roaring library reads and writes it.

What is read is checked first: it may come from anywhere. What is written has no runs.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from segcore._set_chunks cimport ARRAY, ARRAY_MOST, CHUNK_BYTES, CHUNK_WORDS, WORDS, Value, count_words
from segcore._set_words cimport sets_add, sets_list
from segcore._sets cimport Chunk, Draft, Set, abandon, begin, put, room

cdef enum:
    PORTABLE_ARRAY_MOST = 4096
    CHUNK_MOST = 65536
    PLAIN_COOKIE = 12346
    RUN_COOKIE = 12347
    OFFSETS_LEAST = 4       # with runs, there are offsets from this many chunks on


def to_portable(Set source not None):
    """Return the bytes of a set."""
    cdef size_t size = 8 + 8 * <size_t> source.chunk_count
    cdef Py_ssize_t index
    cdef Chunk* chunk
    for index in range(source.chunk_count):
        chunk = source.chunks + index
        size += (
            2 * chunk.value.count if chunk.value.count <= PORTABLE_ARRAY_MOST else CHUNK_BYTES
        )
    cdef bytes content = PyBytes_FromStringAndSize(NULL, size)
    cdef char* start = PyBytes_AS_STRING(content)
    cdef uint16_t* heads = <uint16_t*> (start + 8)
    cdef uint32_t* offsets = <uint32_t*> (start + 8 + 4 * source.chunk_count)
    cdef char* place = start + 8 + 8 * source.chunk_count
    (<uint32_t*> start)[0] = PLAIN_COOKIE
    (<uint32_t*> start)[1] = <uint32_t> source.chunk_count
    with nogil:
        for index in range(source.chunk_count):
            chunk = source.chunks + index
            heads[2 * index] = <uint16_t> chunk.key
            heads[2 * index + 1] = <uint16_t> (chunk.value.count - 1)
            offsets[index] = <uint32_t> (place - start)
            if chunk.value.count > PORTABLE_ARRAY_MOST:
                memcpy(place, chunk.value.data, CHUNK_BYTES)
                place += CHUNK_BYTES
                continue
            if chunk.value.form == ARRAY:
                memcpy(place, chunk.value.data, 2 * chunk.value.count)
            else:
                sets_list(<const uint64_t*> chunk.value.data, <uint16_t*> place)
            place += 2 * chunk.value.count
    return content


cdef struct Source:             # bytes that are read from the front
    const uint8_t* start
    size_t size
    size_t at


cdef const uint8_t* take_bytes(Source* source, size_t size) except NULL:
    """Return the next bytes; raises ValueError where there are not so many."""
    if source.size - source.at < size:
        raise ValueError(
            f"expected {size} bytes at {source.at} of a portable set, found {source.size - source.at}"
        )
    source.at += size
    return source.start + source.at - size


cdef uint32_t take_number(Source* source, size_t size) except? 0xFFFFFFFF:
    cdef uint32_t number = 0
    memcpy(&number, take_bytes(source, size), size)
    return number


def from_portable(const uint8_t[::1] content not None):
    """Return the set that these bytes are; raises ValueError where they are none.

    Offsets are skipped: chunks lie one after the other.
    """
    cdef Source source
    cdef uint32_t cookie
    cdef const uint8_t* runs = NULL
    cdef Set found = Set.__new__(Set)
    cdef uint32_t count
    cdef const uint8_t* heads
    cdef Draft draft
    source.start, source.size, source.at = NULL, content.shape[0], 0
    if source.size:
        source.start = &content[0]
    cookie = take_number(&source, 4)
    if cookie & 0xFFFF == RUN_COOKIE:
        count = (cookie >> 16) + 1
        runs = take_bytes(&source, (count + 7) // 8)
    elif cookie == PLAIN_COOKIE:
        count = take_number(&source, 4)
    else:
        raise ValueError(f"expected a portable set, found the cookie {cookie}")
    if count > CHUNK_MOST:
        raise ValueError(f"expected at most {CHUNK_MOST} chunks, found {count}")
    if count == 0:
        return found
    heads = take_bytes(&source, 4 * <size_t> count)
    if runs == NULL or count >= OFFSETS_LEAST:
        take_bytes(&source, 4 * <size_t> count)
    begin(&draft, count, content.shape[0])
    try:
        read_chunks(&source, heads, runs, count, &draft)
    except BaseException:
        abandon(&draft)
        raise
    found.take(&draft)
    return found


cdef int read_chunks(
    Source* source, const uint8_t* heads, const uint8_t* runs, uint32_t count, Draft* draft
) except -1:
    cdef uint32_t index
    cdef int64_t before = -1
    cdef uint16_t key, less
    cdef Value value
    for index in range(count):
        memcpy(&key, heads + 4 * index, 2)
        memcpy(&less, heads + 4 * index + 2, 2)
        if key <= before:
            raise ValueError(f"expected chunks that ascend, found {key} after {before}")
        before = key
        room(draft)
        value = Value(WORDS, <int32_t> less + 1, draft.block + draft.size)
        if runs != NULL and runs[index >> 3] >> (index & 7) & 1:
            read_runs(source, &value)
        elif value.count <= PORTABLE_ARRAY_MOST:
            read_array(source, &value)
        else:
            value.data = <const char*> take_bytes(source, CHUNK_BYTES)
            memcpy(draft.block + draft.size, value.data, CHUNK_BYTES)
            value.data = draft.block + draft.size
        if value.form == WORDS and count_words(<const uint64_t*> value.data) != value.count:
            raise ValueError(
                f"chunk {key}: expected {value.count} ordinals, "
                f"found {count_words(<const uint64_t*> value.data)}"
            )
        put(draft, key, &value)
    return 0


cdef int read_array(Source* source, Value* value) except -1:
    """Take an array; one that ascends, beyond ARRAY_MOST as the bitmap that it is kept as."""
    cdef uint16_t* place = <uint16_t*> value.data
    cdef uint16_t few[PORTABLE_ARRAY_MOST]
    cdef int32_t index
    memcpy(few, take_bytes(source, 2 * <size_t> value.count), 2 * value.count)
    for index in range(1, value.count):
        if few[index] <= few[index - 1]:
            raise ValueError(f"expected ordinals that ascend, found {few[index]} at {index}")
    if value.count <= ARRAY_MOST:
        value.form = ARRAY
        memcpy(place, few, 2 * value.count)
    else:
        memset(place, 0, CHUNK_BYTES)
        sets_add(<uint64_t*> place, few, value.count)
    return 0


cdef int read_runs(Source* source, Value* value) except -1:
    """Take runs into a bitmap: those that overlap or leave the chunk show in its count."""
    cdef uint64_t* words = <uint64_t*> value.data
    cdef uint32_t run_count = take_number(source, 2)
    cdef uint32_t start, ordinal
    cdef uint32_t end
    memset(words, 0, CHUNK_BYTES)
    for _ in range(run_count):
        start = take_number(source, 2)
        end = start + take_number(source, 2)
        if end > 0xFFFF:
            raise ValueError(f"expected runs of one chunk, found one from {start} to {end}")
        for ordinal in range(start, end + 1):
            words[ordinal >> 6] |= <uint64_t> 1 << (ordinal & 63)
    return 0
