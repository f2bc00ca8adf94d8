"""Bytes of protobuf on their way out: a buffer that grows, and the fields of a message in it."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

cdef enum:
    SPARE = 32      # bytes of tags and lengths around one field


cdef struct Buffer:
    char* data
    Py_ssize_t size
    Py_ssize_t room


cdef inline int make_room(Buffer* out, Py_ssize_t more) except -1 nogil:
    cdef Py_ssize_t room
    cdef char* moved
    if out.size + more > out.room:
        room = max(4096, out.room * 2, out.size + more)
        moved = <char*> realloc(out.data, room)
        if moved == NULL:
            with gil:
                raise MemoryError(f"no memory for a pack of {room} bytes")
        out.data = moved
        out.room = room
    return 0


cdef inline void put_byte(Buffer* out, uint8_t byte) noexcept nogil:
    out.data[out.size] = <char> byte
    out.size += 1


cdef inline void put_varint(Buffer* out, uint64_t number) noexcept nogil:
    while number > 0x7F:
        put_byte(out, <uint8_t> (number & 0x7F | 0x80))
        number >>= 7
    put_byte(out, <uint8_t> number)


cdef inline int put_bytes(Buffer* out, const char* data, Py_ssize_t length) except -1 nogil:
    """Add bytes, and leave room for the tags after them."""
    make_room(out, length + SPARE)
    if length:
        memcpy(out.data + out.size, data, length)
        out.size += length
    return 0


cdef inline Py_ssize_t varint_size(uint64_t number) noexcept nogil:
    cdef Py_ssize_t size = 1
    while number > 0x7F:
        number >>= 7
        size += 1
    return size


cdef inline Py_ssize_t field_size(uint8_t tag, Py_ssize_t length) noexcept nogil:
    """Return the size of a field of so many bytes; without a tag it is its content alone."""
    return 1 + varint_size(length) + length if tag else length


cdef inline Py_ssize_t number_size(uint64_t number) noexcept nogil:
    """Return the size of a number with its tag; 0 is not written."""
    return 1 + varint_size(number) if number else 0


cdef inline Py_ssize_t text_size(uint8_t tag, Py_ssize_t length) noexcept nogil:
    """Return the size of a text with its tag; an empty one is not written."""
    return field_size(tag, length) if length else 0


cdef inline void put_head(Buffer* out, uint8_t tag, Py_ssize_t length) noexcept nogil:
    if tag:
        put_byte(out, tag)
        put_varint(out, length)


cdef inline void put_number(Buffer* out, uint8_t tag, uint64_t number) noexcept nogil:
    """Add a number unless it is 0, where there is room."""
    if number:
        put_byte(out, tag)
        put_varint(out, number)


cdef inline int put_text(
    Buffer* out, uint8_t tag, const char* data, Py_ssize_t length
) except -1 nogil:
    """Add a text unless it is empty, where there is room for its tag."""
    if length:
        put_head(out, tag, length)
        put_bytes(out, data, length)
    return 0
