"""Requests of senders, and the records of the inbound log that are made of them."""

from libc.stdint cimport int64_t, uint32_t

from segcore._bytes_out cimport Buffer
from segcore._event_form cimport EventForm, EventRules, PropertyPlace
from segcore._text_hash cimport Text
from segcore._wire cimport Cursor, Pack


cdef struct Asked:
    Py_ssize_t start            # where the input lies in the payload
    Py_ssize_t end
    bint is_plain
    Text event_id
    int64_t occurred_ms
    Py_ssize_t event_start
    Py_ssize_t properties_start
    Py_ssize_t event_end
    Py_ssize_t first_property   # where they begin in `properties`; -1 where they are in order
    Py_ssize_t property_count


cdef class InboundWriter:
    cdef Buffer out
    cdef Py_ssize_t* ends       # of each input
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef int end_input(self) except -1


cdef class RequestReader:
    cdef readonly bytes payload
    cdef readonly bint is_sound
    cdef EventRules rules
    cdef Asked* inputs
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef PropertyPlace* properties
    cdef Py_ssize_t property_count
    cdef Py_ssize_t property_room
    cdef Pack pack
    cdef bint _scan(self) except -1 nogil
    cdef int _note(self, Cursor* input) except -1 nogil
    cdef int _keep(self, Asked* asked, EventForm* form) except -1 nogil
    cdef int _write(
        self, Asked* asked, int64_t received_ms, bytes traceparent, Buffer* out
    ) except -1
