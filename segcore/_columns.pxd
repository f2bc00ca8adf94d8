"""Growable columns of one machine type: what all state of the engine is kept in."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef class Column:
    cdef char* data
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef readonly Py_ssize_t item_bytes
    cdef readonly str path
    cdef Py_ssize_t mapped_bytes
    cdef int _map(self, Py_ssize_t byte_count, bint fresh) except -1
    cdef int _grow_file(self, Py_ssize_t size) except -1
    cdef int reserve(self, Py_ssize_t size) except -1 nogil
    cdef int resize(self, Py_ssize_t size) except -1 nogil

    cdef inline int make_room(self, Py_ssize_t count) except -1 nogil:
        """See that `count` more places can be pushed."""
        if self.capacity - self.size < count:
            self.reserve(self.size + count)
        return 0


cdef class Int64Column(Column):
    cdef inline int64_t get(self, Py_ssize_t index) noexcept nogil:
        return (<int64_t*> self.data)[index]

    cdef inline void put(self, Py_ssize_t index, int64_t value) noexcept nogil:
        (<int64_t*> self.data)[index] = value

    cdef inline void push(self, int64_t value) noexcept nogil:
        """Append where there is room."""
        (<int64_t*> self.data)[self.size] = value
        self.size += 1

    cdef inline int append(self, int64_t value) except -1 nogil:
        self.make_room(1)
        self.push(value)
        return 0


cdef class Uint32Column(Column):
    cdef inline uint32_t get(self, Py_ssize_t index) noexcept nogil:
        return (<uint32_t*> self.data)[index]

    cdef inline uint32_t peek(self, Py_ssize_t index) noexcept nogil:
        """Return the value, 0 beyond the end."""
        return (<uint32_t*> self.data)[index] if index < self.size else 0

    cdef inline void put(self, Py_ssize_t index, uint32_t value) noexcept nogil:
        (<uint32_t*> self.data)[index] = value

    cdef inline void push(self, uint32_t value) noexcept nogil:
        """Append where there is room."""
        (<uint32_t*> self.data)[self.size] = value
        self.size += 1

    cdef inline int append(self, uint32_t value) except -1 nogil:
        self.make_room(1)
        self.push(value)
        return 0


cdef class Int32Column(Column):
    pass


cdef class Uint16Column(Column):
    pass


cdef class ByteColumn(Column):
    cdef inline uint8_t get(self, Py_ssize_t index) noexcept nogil:
        return (<uint8_t*> self.data)[index]

    cdef inline uint8_t peek(self, Py_ssize_t index) noexcept nogil:
        """Return the value, 0 beyond the end."""
        return (<uint8_t*> self.data)[index] if index < self.size else 0

    cdef inline void put(self, Py_ssize_t index, uint8_t value) noexcept nogil:
        (<uint8_t*> self.data)[index] = value

    cdef inline int append(self, uint8_t value) except -1 nogil:
        self.make_room(1)
        (<uint8_t*> self.data)[self.size] = value
        self.size += 1
        return 0
