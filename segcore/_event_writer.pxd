"""Events from columns to the bytes of an inbound pack."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from segcore._bytes_out cimport Buffer


cdef class Part:
    cdef int write(self, Buffer* out, Py_ssize_t row) except -1


cdef class TextPart(Part):
    cdef const uint32_t[::1] codes
    cdef bytes heap
    cdef const int64_t[::1] ends
    cdef bytes prefix
    cdef uint8_t outer
    cdef uint8_t wrap
    cdef uint8_t tag


cdef class FixedPart(Part):
    cdef bytes head
    cdef const uint8_t[:, ::1] values
    cdef const uint8_t[::1] present


cdef class TimePart(Part):
    cdef const int64_t[::1] times
    cdef const uint8_t[::1] present
    cdef bytes prefix
    cdef uint8_t outer
    cdef uint8_t wrap
    cdef uint8_t tag


cdef class LinesPart(Part):
    cdef const uint32_t[::1] ends
    cdef list parts
    cdef Buffer line
