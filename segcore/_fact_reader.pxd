"""Packs of facts, read where they lie: events as rows, all else as places."""

from libc.stdint cimport int64_t, uint64_t

from segcore._text_hash cimport Text
from segcore._wire cimport Cursor, Pack

cdef enum:
    TYPES_KEPT = 64


cdef struct FactPlace:
    Py_ssize_t start            # where the fact lies in the payload
    Py_ssize_t end
    bint is_plain               # an event of a person of which nothing is unusual
    int64_t log_ms
    int64_t received_ms
    int64_t occurred_ms
    uint64_t profile_id
    Text namespace              # of the identifier that it came with
    Text identifier
    Text traceparent
    Text event_id
    Text event_type
    Text body


cdef class FactReader:
    cdef readonly bytes payload
    cdef readonly bint is_sound
    cdef readonly int64_t inbound_seq
    cdef readonly int64_t waiting_seq
    cdef FactPlace* facts
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Text types[TYPES_KEPT]
    cdef list type_texts
    cdef Pack pack
    cdef int _scan(self) except -2 nogil
    cdef int _note(self, const Cursor* given) except -2 nogil
    cdef object _type(self, Text event_type)
