"""Facts of one inbound record and one partition, as bytes."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._bytes_out cimport Buffer
from segcore._text_hash cimport Text

cdef enum:
    TYPE_SLOTS = 64


cdef struct EventFact:
    uint32_t index
    int64_t log_ms
    int64_t received_ms
    uint64_t profile_id
    Text namespace              # of the identifier that it came with
    Text identifier
    Text traceparent
    Text input_id
    Text event_type
    Text body


cdef class FactPart:
    cdef Buffer out
    cdef readonly set bodies
    cdef readonly set event_types
    cdef readonly int64_t log_time_ms
    cdef readonly Py_ssize_t count
    cdef bint has_events
    cdef list kept
    cdef Text types[TYPE_SLOTS]     # those that came lately, in bytes that `kept` holds
    cdef int add_event(self, EventFact* fact) except -1
    cdef int note_type(self, Text event_type) except -1
