"""Packs of facts, read from their bytes into batches."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from segcore._batch cimport Batch
from segcore._catalog cimport Catalog
from segcore._event_wire cimport SCRATCH_BYTES
from segcore._text_hash cimport Text
from segcore._texts cimport Texts
from segcore._wire cimport Cursor, Pack


cdef enum:
    SCRATCH_ROOM = SCRATCH_BYTES + 24   # `hash_near` looks beyond
    AHEAD = 4       # facts between the steps of a look into the dictionary


cdef struct FactHead:
    Py_ssize_t start            # where the fact lies in the payload
    Py_ssize_t end
    uint32_t index
    int body                    # the number of its body's field, 0 where it has none
    bint odd
    int64_t log_ms
    int64_t received_ms
    uint64_t profile_id
    Text namespace
    Text identifier
    Text traceparent
    uint64_t came_hash          # of `namespace:identifier`
    Py_ssize_t body_start
    Py_ssize_t body_end


cdef class PackReader:
    cdef readonly bytes payload
    cdef readonly int64_t inbound_seq
    cdef readonly int64_t waiting_seq
    cdef FactHead* facts
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Py_ssize_t place       # the first fact that was not given out
    cdef bint odd               # the input at `place` looks plain and is not
    cdef Pack pack
    cdef char scratch[SCRATCH_ROOM]
    cdef int _scan(self) except -2 nogil
    cdef int _note(self, const Cursor* fact) except -2 nogil
    cdef Py_ssize_t _end_of_input(self, Py_ssize_t place) noexcept nogil
    cdef bint _is_plain(self, Py_ssize_t place, Py_ssize_t end) noexcept nogil
    cdef int _read_events(self, Batch batch, Catalog catalog) except -2 nogil
    cdef int _read_input(
        self, Py_ssize_t place, Py_ssize_t end, Batch batch, Catalog catalog
    ) except -2 nogil
    cdef void _look_ahead(self, Py_ssize_t place, Texts texts) noexcept nogil
    cdef Py_ssize_t _spell_came_with(self, FactHead* head) noexcept nogil
    cdef uint32_t _came_with(self, FactHead* head, Batch batch) except 0 nogil
