"""Facts as they come, to the bytes of a pack of `coterie.log.v1`: what an event is stays its bytes.

The twin is to fill a message of each and to serialize it, as `services.identity.packs` does with
what is no event of a known person.
"""

from libc.stdlib cimport free
from libc.string cimport memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from segcore._bytes_out cimport (
    SPARE,
    field_size,
    make_room,
    number_size,
    put_bytes,
    put_head,
    put_number,
    put_text,
    text_size,
)
from segcore._text_hash cimport hash_bytes

cdef uint32_t EVENT = 10
cdef enum:
    FACTS_TAG = 0x12
    CAME_WITH_TAG = 0x2A
    EVENT_TAG = 0x52


cdef class FactPart:
    """The facts of one partition, in order, and what a pack says that it holds."""

    def __cinit__(self):
        self.bodies = set()
        self.event_types = set()
        self.kept = []

    def __dealloc__(self):
        free(self.out.data)

    def add(self, bytes fact not None, int body, int64_t log_time_ms):
        """Add one Fact that is bytes already; `body` is the number of its body's field."""
        make_room(&self.out, SPARE)
        put_head(&self.out, FACTS_TAG, len(fact))
        put_bytes(&self.out, <const char*> fact, len(fact))
        self.bodies.add(body)
        self.log_time_ms = log_time_ms
        self.count += 1

    def facts(self):
        """Return the field `facts` of the pack."""
        return PyBytes_FromStringAndSize(self.out.data, self.out.size)

    cdef int add_event(self, EventFact* fact) except -1:
        """Add one event of a person, in the order of fields in which protobuf writes them."""
        cdef Buffer* out = &self.out
        cdef Py_ssize_t came_with = text_size(0x0A, fact.namespace.length)
        cdef Py_ssize_t size
        came_with += text_size(0x12, fact.identifier.length)
        size = number_size(fact.index) + number_size(<uint64_t> fact.log_ms)
        size += number_size(<uint64_t> fact.received_ms) + number_size(fact.profile_id)
        size += field_size(CAME_WITH_TAG, came_with) + text_size(0x32, fact.traceparent.length)
        size += text_size(0x3A, fact.input_id.length) + field_size(EVENT_TAG, fact.body.length)
        # The bytes themselves make room as they come, and leave enough for what stands around them.
        make_room(out, 3 * SPARE)
        put_head(out, FACTS_TAG, size)
        put_number(out, 0x08, fact.index)
        put_number(out, 0x10, <uint64_t> fact.log_ms)
        put_number(out, 0x18, <uint64_t> fact.received_ms)
        put_number(out, 0x20, fact.profile_id)
        put_head(out, CAME_WITH_TAG, came_with)
        put_text(out, 0x0A, fact.namespace.data, fact.namespace.length)
        put_text(out, 0x12, fact.identifier.data, fact.identifier.length)
        put_text(out, 0x32, fact.traceparent.data, fact.traceparent.length)
        put_text(out, 0x3A, fact.input_id.data, fact.input_id.length)
        put_head(out, EVENT_TAG, fact.body.length)
        put_bytes(out, fact.body.data, fact.body.length)
        if not self.has_events:
            self.has_events = True
            self.bodies.add(EVENT)
        self.log_time_ms = fact.log_ms
        self.count += 1
        return self.note_type(fact.event_type)

    cdef int note_type(self, Text event_type) except -1:
        """Keep a type by its text, unless it came lately."""
        cdef Text* slot = &self.types[
            hash_bytes(event_type.data, event_type.length) % TYPE_SLOTS
        ]
        cdef bytes made
        if (
            slot.data != NULL
            and slot.length == event_type.length
            and memcmp(slot.data, event_type.data, slot.length) == 0
        ):
            return 0
        made = PyBytes_FromStringAndSize(event_type.data, event_type.length)
        self.kept.append(made)
        slot.data = PyBytes_AS_STRING(made)
        slot.length = event_type.length
        self.event_types.add(made.decode())
        return 0
