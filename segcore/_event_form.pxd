"""The form of an event that a sender wrote: whether it may go on as it is."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from segcore._text_hash cimport Text
from segcore._wire cimport Cursor

cdef enum:
    PROPERTY_ROOM = 64          # an event with more properties is Python's


cdef struct PropertyPlace:
    Text name
    Py_ssize_t start            # where its field lies in the payload, with tag and length
    Py_ssize_t end


cdef struct EventForm:
    Text event_id
    int64_t occurred_ms         # the least number where it does not say
    Py_ssize_t start            # where the event lies, and where its properties begin
    Py_ssize_t properties_start
    Py_ssize_t end
    bint is_sorted
    int property_count
    PropertyPlace properties[PROPERTY_ROOM]


cdef class EventRules:
    cdef Py_ssize_t id_length
    cdef Py_ssize_t token_length
    cdef Py_ssize_t identities
    cdef Py_ssize_t identity_length
    cdef Py_ssize_t items
    cdef Py_ssize_t label_length
    cdef Py_ssize_t properties
    cdef Py_ssize_t name_length
    cdef Py_ssize_t text_length
    cdef double number_limit
    cdef list kept
    cdef Text* names            # of declared properties, by hash
    cdef int* kinds
    cdef uint64_t mask
    cdef int declared_kind(self, Text name) noexcept nogil
    cdef bint is_plain(self, Cursor* event, EventForm* form) noexcept nogil
    cdef bint take_token(self, Cursor* message, Text* token) noexcept nogil
    cdef bint take_identity(self, Cursor* event, Text* namespace) noexcept nogil
    cdef bint take_line(self, Cursor* event) noexcept nogil
    cdef bint take_price(self, Cursor* line) noexcept nogil
    cdef bint take_property(self, Cursor* event, EventForm* form) noexcept nogil
    cdef int take_value(self, Cursor* value) noexcept nogil
