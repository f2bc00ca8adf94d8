"""Records of the inbound log, read where they lie."""

from libc.stdint cimport int64_t

from segcore._fact_writer cimport FactPart
from segcore._text_hash cimport Text
from segcore._wire cimport Cursor, Pack

cdef enum:
    NAMESPACES_KEPT = 8


cdef struct Named:
    Text namespace
    Text value


cdef struct InputHead:
    Py_ssize_t start            # where the input lies in the payload
    Py_ssize_t end
    bint is_plain               # an event of which nothing is unusual
    int64_t received_ms
    Text input_id
    Text traceparent
    Text body
    Text event_type
    Text primary
    Py_ssize_t named_start      # its identifiers
    Py_ssize_t named_end


cdef class InboundReader:
    cdef readonly bytes payload
    cdef readonly bint is_sound
    cdef readonly int64_t now_ms
    cdef readonly Py_ssize_t duplicates
    cdef InputHead* inputs
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Named* named
    cdef Py_ssize_t named_count
    cdef Py_ssize_t named_room
    cdef list ids               # of each plain event, None for other inputs
    cdef Text kept_namespaces[NAMESPACES_KEPT]
    cdef list kept_names
    cdef int kept_next
    cdef Pack pack
    cdef int _scan(self) except -2 nogil
    cdef int _note(self, const Cursor* given) except -2 nogil
    cdef int _read_event(self, const Cursor* given, InputHead* head) except -2 nogil
    cdef int _add_named(self, const Cursor* given) except -2 nogil
    cdef object _name(self, Text namespace)
    cdef object _owner(self, InputHead* head, dict holders)
    cdef Py_ssize_t _came_with(self, InputHead* head, dict ranks) except -1
    cdef int _write(
        self, Py_ssize_t place, object owner, dict ranks, int64_t stamp_ms, FactPart part
    ) except -1
