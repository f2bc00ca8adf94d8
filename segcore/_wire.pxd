"""The protobuf wire format, read where it lies: no copies, no objects, no Python.

A cursor goes through one message. What is malformed is noted once in its `Fault`; the messages
around it add their fields to the path as they return. Limits are those of upb: ten bytes a number,
five a tag or a length, 31 bits a length.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    WELL = 0
    BAD = -1            # malformed: `Fault` says what and where
    ODD = 1             # well formed, and not for a kernel: Python decides
    PATH_DEPTH = 16
    GROUP_DEPTH = 90    # an unknown group within groups, as upb allows about a hundred levels

cdef enum Reason:
    NUMBER_TOO_LONG = 1
    CUT_SHORT = 2
    BAD_TAG = 3
    BAD_LENGTH = 4
    BAD_TEXT = 5
    BAD_GROUP = 6

cdef enum Wire:
    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    GROUP = 3
    END_GROUP = 4
    FIXED32 = 5

cdef struct Fault:
    int reason
    Py_ssize_t offset
    int depth
    const char* fields[PATH_DEPTH]      # from the innermost out
    Py_ssize_t indexes[PATH_DEPTH]      # -1 where the field is not repeated

cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end
    const uint8_t* base
    Fault* fault

cdef struct Text:
    const char* data
    Py_ssize_t length


cdef inline int fail(Cursor* cursor, int reason) noexcept nogil:
    cursor.fault.reason = reason
    cursor.fault.offset = cursor.at - cursor.base
    return BAD


cdef inline int within(
    Cursor* cursor, const char* field, Py_ssize_t index, int found
) noexcept nogil:
    """Return `found`; where that is BAD, say that it was in this field."""
    cdef Fault* fault = cursor.fault
    if found == BAD and fault.depth < PATH_DEPTH:
        fault.fields[fault.depth] = field
        fault.indexes[fault.depth] = index
        fault.depth += 1
    return found


cdef inline int read_varint(Cursor* cursor, uint64_t* out) noexcept nogil:
    cdef const uint8_t* at = cursor.at
    cdef uint64_t value = 0
    cdef int shift = 0
    if at < cursor.end and at[0] < 0x80:
        out[0] = at[0]
        cursor.at = at + 1
        return WELL
    while shift < 70:
        if at == cursor.end:
            return fail(cursor, CUT_SHORT)
        value |= <uint64_t> (at[0] & 0x7F) << shift
        if at[0] < 0x80:
            out[0] = value
            cursor.at = at + 1
            return WELL
        at += 1
        shift += 7
    return fail(cursor, NUMBER_TOO_LONG)


cdef inline int read_short_varint(Cursor* cursor, uint64_t* out) noexcept nogil:
    """Read a tag or a length: five bytes at most."""
    cdef const uint8_t* start = cursor.at
    cdef int found = read_varint(cursor, out)
    if found == WELL and (cursor.at - start > 5 or out[0] > 0xFFFFFFFFULL):
        cursor.at = start
        return fail(cursor, NUMBER_TOO_LONG)
    return found


cdef inline int read_tag(Cursor* cursor, uint32_t* tag) noexcept nogil:
    cdef uint64_t value = 0
    cdef const uint8_t* start = cursor.at
    if read_short_varint(cursor, &value) == BAD:
        return BAD
    if value < 8 or (value & 7) > FIXED32:
        cursor.at = start
        return fail(cursor, BAD_TAG)
    tag[0] = <uint32_t> value
    return WELL


cdef inline int read_length(Cursor* cursor, Py_ssize_t* length) noexcept nogil:
    cdef uint64_t value = 0
    cdef const uint8_t* start = cursor.at
    if read_short_varint(cursor, &value) == BAD:
        return BAD
    if value > <uint64_t> (cursor.end - cursor.at):
        cursor.at = start
        return fail(cursor, BAD_LENGTH)
    length[0] = <Py_ssize_t> value
    return WELL


cdef inline int read_fixed64(Cursor* cursor, uint64_t* out) noexcept nogil:
    if cursor.end - cursor.at < 8:
        return fail(cursor, CUT_SHORT)
    memcpy(out, cursor.at, 8)       # the machines that we run on are little endian, as the wire is
    cursor.at += 8
    return WELL


cdef inline int enter(Cursor* cursor, Cursor* inner) noexcept nogil:
    """Let `inner` go through the message that comes, and `cursor` on after it."""
    cdef Py_ssize_t length = 0
    if read_length(cursor, &length) == BAD:
        return BAD
    inner[0] = cursor[0]
    inner.end = cursor.at + length
    cursor.at += length
    return WELL


cdef inline int check_text(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Return WELL for UTF-8, ODD where it has U+0000, BAD for what is no UTF-8."""
    cdef uint64_t word
    cdef uint32_t first, second
    cdef int found = WELL
    while at < end:
        if end - at >= 8:
            memcpy(&word, at, 8)
            # No byte has its highest bit, and none borrows it when 1 is taken away.
            if (word | (word - 0x0101010101010101ULL)) & 0x8080808080808080ULL == 0:
                at += 8
                continue
        first = at[0]
        if first < 0x80:
            if first == 0:
                found = ODD
            at += 1
        elif first < 0xC2:
            return BAD
        elif first < 0xE0:
            if end - at < 2 or (at[1] & 0xC0) != 0x80:
                return BAD
            at += 2
        elif first < 0xF0:
            if end - at < 3 or (at[1] & 0xC0) != 0x80 or (at[2] & 0xC0) != 0x80:
                return BAD
            second = (first & 0x0F) << 6 | (at[1] & 0x3F)
            if second < 0x20 or 0x360 <= second < 0x380:        # overlong, or a surrogate
                return BAD
            at += 3
        else:
            if first > 0xF4 or end - at < 4 or (at[1] & 0xC0) != 0x80:
                return BAD
            if (at[2] & 0xC0) != 0x80 or (at[3] & 0xC0) != 0x80:
                return BAD
            second = (first & 0x07) << 6 | (at[1] & 0x3F)
            if second < 0x10 or second >= 0x110:                # overlong, or beyond U+10FFFF
                return BAD
            at += 4
    return found


cdef inline int read_text(Cursor* cursor, Text* out) noexcept nogil:
    """Read a text; ODD where it has U+0000."""
    cdef Py_ssize_t length = 0
    cdef const uint8_t* start
    cdef int found
    if read_length(cursor, &length) == BAD:
        return BAD
    start = cursor.at
    found = check_text(start, start + length)
    if found == BAD:
        return fail(cursor, BAD_TEXT)
    out.data = <const char*> start
    out.length = length
    cursor.at = start + length
    return found


cdef inline int skip_value(Cursor* cursor, uint32_t tag) noexcept nogil:
    """Pass over one value that is no group."""
    cdef uint64_t number = 0
    cdef Py_ssize_t length = 0
    cdef uint32_t wire = tag & 7
    if wire == VARINT:
        return read_varint(cursor, &number)
    if wire == BYTES:
        if read_length(cursor, &length) == BAD:
            return BAD
    elif wire == FIXED64:
        length = 8
    elif wire == FIXED32:
        length = 4
    else:
        return fail(cursor, BAD_GROUP)
    if cursor.end - cursor.at < length:
        return fail(cursor, CUT_SHORT)
    cursor.at += length
    return WELL


cdef inline int skip_field(Cursor* cursor, uint32_t tag) noexcept nogil:
    """Pass over a field that nobody here knows, groups and all."""
    cdef uint32_t open_groups[GROUP_DEPTH]
    cdef int depth = 0
    while True:
        if tag & 7 == GROUP:
            if depth == GROUP_DEPTH:
                return fail(cursor, BAD_GROUP)
            open_groups[depth] = tag >> 3
            depth += 1
        elif tag & 7 == END_GROUP:
            if depth == 0 or open_groups[depth - 1] != tag >> 3:
                return fail(cursor, BAD_GROUP)
            depth -= 1
        elif skip_value(cursor, tag) == BAD:
            return BAD
        if depth == 0:
            return WELL
        if read_tag(cursor, &tag) == BAD:
            return BAD
