"""What is rare on the wire: numbers at its end, long tags, more than ASCII, unknown fields.

Here all limits are checked that `_wire.pxd` has no time for.
"""


cdef int read_any_varint(Cursor* cursor, uint64_t* out) noexcept nogil:
    cdef const uint8_t* at = cursor.at
    cdef uint64_t value = 0
    cdef int shift = 0
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


cdef int read_short_varint(Cursor* cursor, uint64_t* out) noexcept nogil:
    """Read a tag or a length: five bytes at most."""
    cdef const uint8_t* start = cursor.at
    cdef int found = read_any_varint(cursor, out)
    if found == WELL and (cursor.at - start > 5 or out[0] > 0xFFFFFFFFULL):
        cursor.at = start
        return fail(cursor, NUMBER_TOO_LONG)
    return found


cdef int read_any_tag(Cursor* cursor, uint64_t* tag) noexcept nogil:
    return read_tag_from(cursor, tag, 8)


cdef int read_tag_from(Cursor* cursor, uint64_t* tag, uint64_t least) noexcept nogil:
    cdef uint64_t value = 0
    cdef const uint8_t* start = cursor.at
    if read_short_varint(cursor, &value) == BAD:
        return BAD
    if value < least or (value & 7) > FIXED32:
        cursor.at = start
        return fail(cursor, BAD_TAG)
    tag[0] = value
    return WELL


cdef int read_any_length(Cursor* cursor, uint64_t* length) noexcept nogil:
    cdef uint64_t value = 0
    cdef const uint8_t* start = cursor.at
    if read_short_varint(cursor, &value) == BAD:
        return BAD
    if value > <uint64_t> (cursor.end - cursor.at):
        cursor.at = start
        return fail(cursor, BAD_LENGTH)
    length[0] = value
    return WELL


cdef int check_any_text(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Return WELL for UTF-8, ODD where it has U+0000, BAD for what is no UTF-8."""
    cdef uint32_t first, second
    cdef int found = WELL
    while at < end:
        if end - at >= 8 and not unusual(load_word(at)):
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


cdef int skip_value(Cursor* cursor, uint32_t tag) noexcept nogil:
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


cdef int skip_any_field(Cursor* cursor, uint32_t tag) noexcept nogil:
    """Pass over a field that nobody here knows, groups and all."""
    cdef uint32_t open_groups[GROUP_DEPTH]
    cdef int depth = 0
    cdef uint64_t inner = 0
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
        if read_tag_from(cursor, &inner, 0) == BAD:     # there upb takes a field 0 too
            return BAD
        tag = <uint32_t> inner
