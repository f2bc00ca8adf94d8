"""When and why people entered and left: rows that are only appended, each person's a chain."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from segcore._columns cimport ByteColumn, Column, Int64Column, Uint32Column


cdef packed struct Row:
    int64_t at_ms       # of a digest: its first entry
    int64_t previous    # of the same person, plus 1; 0 is none
    uint32_t ordinal
    uint32_t word       # the label, above marks
    uint32_t cause      # of a digest: how many entries


cdef class RowColumn(Column):
    pass


cdef packed struct Entry:
    int64_t entered     # rows: of the newest entry, of the newest exit,
    int64_t exited
    int64_t floor       # and the one before which nothing counts; -1 is none
    uint32_t slot


cdef class EntryColumn(Column):
    pass


cdef class Journal:
    cdef readonly object store
    cdef RowColumn rows
    cdef EntryColumn entries
    cdef uint32_t digest_every
    cdef Int64Column text_ends
    cdef ByteColumn texts
    cdef ByteColumn sets
    cdef Int64Column newest
    cdef Uint32Column numbers
    cdef Uint32Column slots
    cdef int make_room(self, Py_ssize_t count, uint32_t ordinal) except -1 nogil
    cdef uint32_t push(self, Row* row) except? 0xFFFFFFFF nogil
    cdef void chain(self, Py_ssize_t index) noexcept nogil
    cdef int64_t _newest(self, uint32_t ordinal) noexcept nogil
    cdef int _digest(self, uint32_t ordinal) except -1
    cdef int _read_digest(self, const Row* row, uint32_t slot, dict found) except -1
    cdef int _put(self, ByteColumn column, bytes content) except -1
    cdef bint _is_sound(self, const Row* row, Py_ssize_t event_count) noexcept nogil

    cdef bint _is_digested(self, const Entry* entry) noexcept nogil

    cdef inline Entry* entries_at(self, Py_ssize_t index) noexcept nogil:
        return <Entry*> self.entries.data + index

    cdef inline Row* at(self, Py_ssize_t index) noexcept nogil:
        return <Row*> self.rows.data + index
