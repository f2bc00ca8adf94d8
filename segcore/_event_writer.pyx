"""Events from columns to the bytes of an inbound pack: `coterie.log.v1`, field by field.

A part writes one field of an event for each row. The twin of this is to make a message of each row
and to serialize it, as `services.profile.columns.expand` does.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free

from cpython.bytes cimport PyBytes_FromStringAndSize

from segcore._bytes_out cimport (
    SPARE,
    field_size,
    make_room,
    put_byte,
    put_bytes,
    put_head,
    put_varint,
    varint_size,
)

cdef uint32_t NONE = 0xFFFFFFFF


cdef class Part:
    """One field of each event."""

    cdef int write(self, Buffer* out, Py_ssize_t row) except -1:
        return 0


cdef class TextPart(Part):
    """A text of a dictionary: `outer { prefix  wrap { tag: text } }`; 0 is no message around it.

    `ends` are those of the dictionary's texts in `heap`; the greatest code writes nothing.
    """

    def __cinit__(
        self, codes, bytes heap not None, ends, int tag, int wrap=0, int outer=0, bytes prefix=b""
    ):
        self.codes = codes
        self.heap = heap
        self.ends = ends
        self.tag = tag
        self.wrap = wrap
        self.outer = outer
        self.prefix = prefix

    cdef int write(self, Buffer* out, Py_ssize_t row) except -1:
        cdef uint32_t code = self.codes[row]
        cdef Py_ssize_t start, length, inner, prefix
        if code == NONE:
            return 0
        start = self.ends[code - 1] if code else 0
        length = self.ends[code] - start
        inner = field_size(self.tag, length)
        prefix = len(self.prefix)
        make_room(out, SPARE)
        put_head(out, self.outer, prefix + field_size(self.wrap, inner))
        put_bytes(out, self.prefix, prefix)
        put_head(out, self.wrap, inner)
        put_head(out, self.tag, length)
        return put_bytes(out, <const char*> self.heap + start, length)


cdef class FixedPart(Part):
    """A value of fixed width after a head that is the same for all rows."""

    def __cinit__(self, bytes head not None, values, present):
        self.head = head
        self.values = values
        self.present = present

    cdef int write(self, Buffer* out, Py_ssize_t row) except -1:
        cdef Py_ssize_t place
        if not self.present[row]:
            return 0
        put_bytes(out, self.head, len(self.head))
        for place in range(self.values.shape[1]):
            put_byte(out, self.values[row, place])
        return 0


cdef class TimePart(Part):
    """A Timestamp, in messages as a text is; times are milliseconds."""

    def __cinit__(self, times, present, int tag, int wrap=0, int outer=0, bytes prefix=b""):
        self.times = times
        self.present = present
        self.tag = tag
        self.wrap = wrap
        self.outer = outer
        self.prefix = prefix

    cdef int write(self, Buffer* out, Py_ssize_t row) except -1:
        cdef int64_t time_ms = self.times[row]
        cdef int64_t millis = time_ms % 1000
        cdef int64_t seconds
        cdef Py_ssize_t length = 0
        cdef Py_ssize_t inner, prefix
        if not self.present[row]:
            return 0
        millis += 1000 if millis < 0 else 0         # division here is that of C
        seconds = (time_ms - millis) // 1000
        if seconds:
            length += 1 + varint_size(<uint64_t> seconds)
        if millis:
            length += 1 + varint_size(millis * 1_000_000)
        inner = field_size(self.tag, length)
        prefix = len(self.prefix)
        make_room(out, SPARE)
        put_head(out, self.outer, prefix + field_size(self.wrap, inner))
        put_bytes(out, self.prefix, prefix)
        make_room(out, 2 * SPARE)
        put_head(out, self.wrap, inner)
        put_head(out, self.tag, length)
        if seconds:
            put_byte(out, 8)
            put_varint(out, <uint64_t> seconds)
        if millis:
            put_byte(out, 16)
            put_varint(out, millis * 1_000_000)
        return 0


cdef class LinesPart(Part):
    """The lines of an event: those from the former row's end to its own, each made of parts."""

    def __cinit__(self, ends, parts):
        self.ends = ends
        self.parts = list(parts)

    def __dealloc__(self):
        free(self.line.data)

    cdef int write(self, Buffer* out, Py_ssize_t row) except -1:
        cdef Py_ssize_t place
        cdef Part part
        for place in range(self.ends[row - 1] if row else 0, self.ends[row]):
            self.line.size = 0
            for part in self.parts:
                part.write(&self.line, place)
            make_room(out, SPARE)
            put_head(out, 0x32, self.line.size)
            put_bytes(out, self.line.data, self.line.size)
        return 0


def write_pack(
    bytes ids not None,
    const int64_t[::1] id_ends,
    const uint8_t[::1] taken,
    int64_t received_ms,
    bytes traceparent not None,
    list parts not None,
):
    """Return the inbound pack of the rows that are `taken`, in order.

    Row `n` has the id `ids[id_ends[n - 1]:id_ends[n]]`, which is the input's too.
    """
    cdef Buffer out = Buffer(NULL, 0, 0)
    cdef Buffer event = Buffer(NULL, 0, 0)
    cdef Py_ssize_t row
    try:
        for row in range(id_ends.shape[0]):
            if taken[row]:
                put_input(&out, &event, ids, id_ends, row, received_ms, traceparent, parts)
        return PyBytes_FromStringAndSize(out.data, out.size)
    finally:
        free(out.data)
        free(event.data)


cdef int put_input(
    Buffer* out,
    Buffer* event,
    bytes ids,
    const int64_t[::1] id_ends,
    Py_ssize_t row,
    int64_t received_ms,
    bytes traceparent,
    list parts,
) except -1:
    cdef Py_ssize_t start = id_ends[row - 1] if row else 0
    cdef Py_ssize_t length = id_ends[row] - start
    cdef Py_ssize_t trace = len(traceparent)
    cdef const char* event_id = <const char*> ids + start
    cdef Py_ssize_t size
    cdef Part part
    event.size = 0
    make_room(event, SPARE)
    put_head(event, 0x0A, length)
    put_bytes(event, event_id, length)
    for part in parts:
        part.write(event, row)
    size = field_size(0x0A, length) + 1 + varint_size(<uint64_t> received_ms)
    size += (field_size(0x1A, trace) if trace else 0) + field_size(0x52, event.size)
    make_room(out, SPARE)
    put_head(out, 0x0A, size)
    put_head(out, 0x0A, length)
    put_bytes(out, event_id, length)
    put_byte(out, 0x10)
    put_varint(out, <uint64_t> received_ms)
    if trace:
        put_head(out, 0x1A, trace)
        put_bytes(out, traceparent, trace)
    put_head(out, 0x52, event.size)
    return put_bytes(out, event.data, event.size)
