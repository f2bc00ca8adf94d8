"""What a run of events or time changed, from arrays to the bytes of transitions: `coterie.log.v1`.

The twin of this is to make a message of each change, as `services.segmentation.wire` does.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from segcore._batch cimport Batch, BatchRow

cdef enum:
    TRANSITIONS = 4 << 3 | 2
    CHANGE = 3 << 3
    AT_MS = 4 << 3
    CAUSE = 5 << 3
    CAUSE_ID = 6 << 3 | 2
    FACTS_SEQ = 7 << 3
    TRACEPARENT = 8 << 3 | 2
    PROFILE_ID = 9 << 3
    SEQUENCE = 10 << 3
    INDEX = 12 << 3
    NUMBERS_BYTES = 96      # of all fields that are numbers, and the tags and lengths of the others
    ORDINAL_BITS = 32


cdef struct Out:
    char* at


cdef inline void put_varint(Out* out, uint64_t number) noexcept nogil:
    while number > 0x7F:
        out.at[0] = <char> (number & 0x7F | 0x80)
        out.at += 1
        number >>= 7
    out.at[0] = <char> number
    out.at += 1


cdef inline void put_number(Out* out, uint8_t tag, uint64_t number) noexcept nogil:
    """Write a field that is a number, 0 as nothing."""
    if number:
        put_varint(out, tag)
        put_varint(out, number)


cdef inline void put_bytes(
    Out* out, uint8_t tag, const char* data, Py_ssize_t length
) noexcept nogil:
    """Write a field of bytes, none as nothing; without a tag the bytes alone."""
    if length == 0:
        return
    if tag:
        put_varint(out, tag)
        put_varint(out, length)
    memcpy(out.at, data, length)
    out.at += length


cdef class TransitionWriter:
    """Writes the changes of the runs of one partition.

    `heads` are by rank: what names audience and version, in bytes. Changes are entered and exited,
    causes event and clock, each by its number.
    """

    cdef list heads
    cdef uint64_t partition
    cdef uint32_t[2] changes
    cdef uint32_t[2] causes
    cdef char* data
    cdef Py_ssize_t room

    def __cinit__(self, list heads not None, uint64_t partition, changes, causes):
        self.heads = heads
        self.partition = partition << ORDINAL_BITS
        self.changes[1], self.changes[0] = changes
        self.causes[0], self.causes[1] = causes

    def __dealloc__(self):
        free(self.data)

    def write(
        self, flips, numbers, int64_t facts_seq, dict tails not None, Batch batch=None,
        uint32_t input_index=0
    ):
        """Return a pack of the changes that have a number; `tails` are the last fields of some.

        Flips are as `Engine.apply` gave them for the batch; without one, what time changed as of
        the input with this index.
        """
        cdef const int64_t[:] times = flips["at_ms"]
        cdef const uint32_t[:] ranks = flips["rank"]
        cdef const uint32_t[:] ordinals = flips["ordinal"]
        cdef const int[:] places = flips["event"]
        cdef const uint8_t[:] entered = flips["entered"]
        cdef const uint8_t[:] clock = flips["clock"]
        cdef const uint32_t[::1] number_of = numbers
        cdef Py_ssize_t index, size = 0
        cdef bytes head, tail
        cdef BatchRow none
        cdef const BatchRow* row
        cdef Out out
        none.id_length = none.trace_length = 0
        none.index = input_index
        for index in range(number_of.shape[0]):
            if not number_of[index]:
                continue
            if batch is None:
                row = &none
            elif 0 <= places[index] < batch.size:
                row = &batch.rows[places[index]]
            else:
                raise IndexError(f"expected an event of the batch, found {places[index]}")
            head, tail = self.heads[ranks[index]], tails.get(index, b"")
            self._make_room(
                size, 2 * (PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(tail) + row.id_length
                           + row.trace_length + NUMBERS_BYTES)
            )
            # The body first, behind room for its tag and length, of which its size tells how long.
            out.at = self.data + size + NUMBERS_BYTES
            put_bytes(&out, 0, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
            put_number(&out, CHANGE, self.changes[entered[index] != 0])
            put_number(&out, AT_MS, <uint64_t> times[index])
            put_number(&out, CAUSE, self.causes[clock[index] != 0])
            if not clock[index] and batch is not None:
                put_bytes(&out, CAUSE_ID, batch.heap + row.id_start, row.id_length)
            put_number(&out, FACTS_SEQ, <uint64_t> facts_seq)
            if not clock[index] and batch is not None:
                put_bytes(&out, TRACEPARENT, batch.heap + row.trace_start, row.trace_length)
            put_number(&out, PROFILE_ID, self.partition | ordinals[index])
            put_number(&out, SEQUENCE, number_of[index])
            put_number(&out, INDEX, row.index)
            put_bytes(&out, 0, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail))
            size = self._close(size, out.at)
        return PyBytes_FromStringAndSize(self.data, size)

    cdef Py_ssize_t _close(self, Py_ssize_t start, char* end) noexcept:
        """Move a body up behind its tag and length; return where it ends."""
        cdef char* body = self.data + start + NUMBERS_BYTES
        cdef Py_ssize_t length = end - body
        cdef Out out
        out.at = self.data + start
        put_varint(&out, TRANSITIONS)
        put_varint(&out, length)
        memmove(out.at, body, length)
        return out.at - self.data + length

    cdef int _make_room(self, Py_ssize_t size, Py_ssize_t more) except -1:
        cdef Py_ssize_t room
        cdef char* moved
        if size + more > self.room:
            room = max(4096, self.room * 2, size + more)
            moved = <char*> realloc(self.data, room)
            if moved == NULL:
                raise MemoryError(f"no memory for a pack of {room} bytes")
            self.data = moved
            self.room = room
        return 0
