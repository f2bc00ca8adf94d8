"""The protobuf wire format, read where it lies: no copies, no objects, no Python.

A cursor goes through one message. What is malformed is noted once in its `Pack`; the messages
around it add their fields to the path as they return. Limits are those of upb: ten bytes a number,
five a tag or a length, 31 bits a length.

Each step waits for the one before, so a cursor has to stay in registers: its address goes to inline
functions alone. Readers of messages take the cursor that is handed to them into one of their own,
word by word: a struct that is copied whole waits for the words that were just written. What is rare
is in `_wire.pyx`, which gets a copy.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from segcore._text_hash cimport SPELLED_BYTES, Text, load_word, short_word

cdef extern from *:
    int count_trailing_zeros "__builtin_ctzll" (unsigned long long word) noexcept nogil

cdef enum:
    WELL = 0
    BAD = -1            # malformed: `Pack` says what and where
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

cdef struct Pack:
    const uint8_t* start
    Py_ssize_t length
    const uint8_t* last_word            # from here on there are eight bytes; NULL: nowhere
    const uint8_t* last_spelled         # from here on there are SPELLED_BYTES
    int reason                          # 0 unless something is malformed, at `offset`
    Py_ssize_t offset
    int depth
    const char* fields[PATH_DEPTH]      # from the innermost out
    Py_ssize_t indexes[PATH_DEPTH]      # -1 where the field is not repeated

cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end
    Pack* pack


# What the fast ways below leave over.
cdef int read_any_varint(Cursor* cursor, uint64_t* out) noexcept nogil
cdef int read_any_tag(Cursor* cursor, uint64_t* tag) noexcept nogil
cdef int read_any_length(Cursor* cursor, uint64_t* length) noexcept nogil
cdef int skip_any_field(Cursor* cursor, uint32_t tag) noexcept nogil
cdef int check_any_text(const uint8_t* at, const uint8_t* end) noexcept nogil

ctypedef int (*Reader)(Cursor* cursor, uint64_t* out) noexcept nogil


cdef inline void open_pack(Pack* pack, const uint8_t* start, Py_ssize_t length) noexcept nogil:
    pack.start = start
    pack.length = length
    pack.last_word = start + length - 8 if length >= 8 else NULL
    pack.last_spelled = start + length - SPELLED_BYTES if length >= SPELLED_BYTES else NULL


cdef inline Cursor* go_to(Pack* pack, Py_ssize_t start, Py_ssize_t end, Cursor* out) noexcept nogil:
    """Let `out` go through the message at this place of the pack, and return it."""
    out.at = pack.start + start
    out.end = pack.start + end
    out.pack = pack
    return out


cdef inline Py_ssize_t place_of(const Pack* pack, const void* at) noexcept nogil:
    return <const uint8_t*> at - pack.start


cdef inline Text no_text(const Cursor* cursor) noexcept nogil:
    """Return the empty text of a field that is not there: it has to lie somewhere."""
    return Text(<const char*> cursor.pack.start, 0)


cdef inline int fail_at(Pack* pack, const void* at, int reason) noexcept nogil:
    pack.reason = reason
    pack.offset = place_of(pack, at)
    return BAD


cdef inline int fail(Cursor* cursor, int reason) noexcept nogil:
    return fail_at(cursor.pack, cursor.at, reason)


cdef inline int within(
    Cursor* cursor, const char* field, Py_ssize_t index, int found
) noexcept nogil:
    """Return `found`; where that is BAD, say that it was in this field."""
    cdef Pack* pack = cursor.pack
    if found == BAD and pack.depth < PATH_DEPTH:
        pack.fields[pack.depth] = field
        pack.indexes[pack.depth] = index
        pack.depth += 1
    return found


cdef inline int read_varint(Cursor* cursor, uint64_t* out) noexcept nogil:
    """Read a number: of one byte, or of up to eight that lie in one word."""
    cdef const uint8_t* at = cursor.at
    cdef uint64_t word, ends
    cdef int size
    if at < cursor.end and at[0] < 0x80:
        out[0] = at[0]
        cursor.at = at + 1
        return WELL
    if at <= cursor.pack.last_word:
        word = load_word(at)
        ends = ~word & 0x8080808080808080ULL
        if ends:
            size = (count_trailing_zeros(ends) >> 3) + 1
            if size <= cursor.end - at:
                cursor.at = at + size
                out[0] = sevens(word & (ends ^ (ends - 1)))
                return WELL
    return read_any(cursor, out, read_any_varint)


cdef inline int read_any(Cursor* cursor, uint64_t* out, Reader reader) noexcept nogil:
    cdef Cursor copy = cursor[0]
    cdef uint64_t value = 0
    cdef int found = reader(&copy, &value)
    cursor.at = copy.at
    out[0] = value
    return found


cdef inline uint64_t sevens(uint64_t word) noexcept nogil:
    """Put the lower seven bits of all eight bytes side by side."""
    word = (word & 0x7F007F007F007F00ULL) >> 1 | (word & 0x007F007F007F007FULL)
    word = (word & 0x3FFF00003FFF0000ULL) >> 2 | (word & 0x00003FFF00003FFFULL)
    return (word & 0x0FFFFFFF00000000ULL) >> 4 | (word & 0x000000000FFFFFFFULL)


cdef inline int read_tag(Cursor* cursor, uint32_t* tag) noexcept nogil:
    cdef const uint8_t* at = cursor.at
    cdef uint64_t value
    cdef int found
    if at < cursor.end and 8 <= at[0] < 0x80 and at[0] & 7 <= FIXED32:
        tag[0] = at[0]
        cursor.at = at + 1
        return WELL
    found = read_any(cursor, &value, read_any_tag)
    tag[0] = <uint32_t> value
    return found


cdef inline int read_length(Cursor* cursor, Py_ssize_t* length) noexcept nogil:
    cdef const uint8_t* at = cursor.at
    cdef uint64_t value
    cdef int found
    if at < cursor.end and at[0] < 0x80 and at[0] < cursor.end - at:
        length[0] = at[0]
        cursor.at = at + 1
        return WELL
    found = read_any(cursor, &value, read_any_length)
    length[0] = <Py_ssize_t> value
    return found


cdef inline int skip_field(Cursor* cursor, uint32_t tag) noexcept nogil:
    """Pass over a field that nobody here knows, groups and all."""
    cdef Cursor copy = cursor[0]
    cdef int found = skip_any_field(&copy, tag)
    cursor.at = copy.at
    return found


cdef inline int read_fixed64(Cursor* cursor, uint64_t* out) noexcept nogil:
    if cursor.end - cursor.at < 8:
        return fail(cursor, CUT_SHORT)
    out[0] = load_word(cursor.at)
    cursor.at += 8
    return WELL


cdef inline Cursor* enter(Cursor* cursor, Cursor* inner) noexcept nogil:
    """Let `inner` go through the message that comes, and `cursor` past it; return `inner`.

    Where the length is BAD there is nothing to `take`.
    """
    cdef Py_ssize_t length = 0
    cdef const uint8_t* start = NULL
    if read_length(cursor, &length) == WELL:
        start = cursor.at
        cursor.at = start + length
    inner.at = start
    inner.end = cursor.at
    inner.pack = cursor.pack
    return inner


cdef inline int take(const Cursor* given, Cursor* own) noexcept nogil:
    """Begin to read a message; BAD where it could not be entered."""
    own.at = given.at
    own.end = given.end
    own.pack = given.pack
    return BAD if own.at == NULL else WELL


cdef inline uint64_t unusual(uint64_t word) noexcept nogil:
    """Return 0 for eight bytes of ASCII without U+0000.

    None has its highest bit, and none borrows it when 1 is taken away.
    """
    return (word | (word - 0x0101010101010101ULL)) & 0x8080808080808080ULL


cdef inline int check_text(const char* data, Py_ssize_t length) noexcept nogil:
    """Return WELL for UTF-8, ODD where it has U+0000, BAD for what is no UTF-8."""
    cdef const char* at = data
    cdef const char* last = data + length - 8
    cdef uint64_t found
    if length >= 8:
        found = unusual(load_word(last))
        while at < last:
            found |= unusual(load_word(at))
            at += 8
    elif length:
        # The bytes beyond the text are made 1, which is usual.
        found = unusual(short_word(data, length) | 0x0101010101010101ULL << 8 * length)
    else:
        found = 0
    if not found:
        return WELL
    return check_any_text(<const uint8_t*> data, <const uint8_t*> data + length)


cdef inline int pass_text(Cursor* cursor, Text* out) noexcept nogil:
    """Go past a text that nobody has looked at yet."""
    cdef Py_ssize_t length = 0
    if read_length(cursor, &length) == BAD:
        return BAD
    out.data = <const char*> cursor.at
    out.length = length
    cursor.at += length
    return WELL


cdef inline int judge(Pack* pack, Text text) noexcept nogil:
    """Check a text that was passed: ODD where it has U+0000."""
    cdef int found = check_text(text.data, text.length)
    if found == BAD:
        return fail_at(pack, text.data, BAD_TEXT)
    return found


cdef inline int read_text(Cursor* cursor, Text* out) noexcept nogil:
    """Read a text; ODD where it has U+0000."""
    if pass_text(cursor, out) == BAD:
        return BAD
    return judge(cursor.pack, out[0])
