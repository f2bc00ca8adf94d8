"""The dictionary of texts: each distinct text has one id, dense from 1.

Texts lie in one arena as UTF-8, whose byte order is the order of code points. Ids are given out in
order of first use, so the same calls always give the same ids. The hash table is rebuilt on load.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy

from segcore._text_hash cimport hash_bytes, same_bytes

from segcore.storage import ColumnStore

cdef uint32_t TEXT_LIMIT = (1 << 29) - 1
"""A text id and a kind share 32 bits where fields are named."""


cdef class Texts:
    """Interns texts and compares them by id."""

    def __cinit__(self, store=None):
        store = store or ColumnStore()
        self.arena = store.open("texts.arena", ByteColumn)
        self.ends = store.open("texts.ends", Int64Column)
        self._rehash(64)

    def __dealloc__(self):
        free(self.slots)

    def __len__(self):
        return self.count()

    cdef int _rehash(self, uint64_t slot_count) except -1 nogil:
        """Lay the table out anew with room for `slot_count` ids, a power of two."""
        cdef uint32_t* slots = <uint32_t*> calloc(slot_count, sizeof(uint32_t))
        cdef Py_ssize_t text_id
        cdef int64_t start
        cdef uint64_t place
        if slots == NULL:
            with gil:
                raise MemoryError(f"no memory for {slot_count} texts")
        free(self.slots)
        self.slots = slots
        self.mask = slot_count - 1
        for text_id in range(1, self.ends.size):
            start = self.ends.get(text_id - 1)
            place = hash_bytes(self.arena.data + start, self.ends.get(text_id) - start) & self.mask
            while slots[place]:
                place = (place + 1) & self.mask
            slots[place] = <uint32_t> text_id
        return 0

    cdef int _forget(self, Py_ssize_t count) except -1:
        """Forget texts: the last to come has nobody behind it, so its slot is just free again."""
        cdef Py_ssize_t text_id = self.ends.size - 1
        cdef int64_t start
        cdef uint64_t place
        while text_id > count:
            start = self.ends.get(text_id - 1)
            place = hash_bytes(self.arena.data + start, self.ends.get(text_id) - start) & self.mask
            while self.slots[place] != <uint32_t> text_id:
                place = (place + 1) & self.mask
            self.slots[place] = 0
            text_id -= 1
        self.arena.resize(self.ends.get(count))
        self.ends.resize(count + 1 if count else 0)
        return 0

    cdef uint32_t find(self, const char* data, Py_ssize_t length, uint64_t hash) noexcept nogil:
        """Return the id of a text of this hash, or 0 where it was never interned."""
        cdef uint64_t place = hash & self.mask
        cdef uint32_t text_id
        cdef int64_t start
        while True:
            text_id = self.slots[place]
            if not text_id:
                return 0
            start = self.ends.get(text_id - 1)
            if self.ends.get(text_id) - start == length and same_bytes(
                self.arena.data + start, data, length
            ):
                return text_id
            place = (place + 1) & self.mask

    cdef uint32_t intern(self, str text) except 0:
        """Return the id of `text`, new or not; raises ValueError for what UTF-8 cannot hold."""
        cdef Py_ssize_t length = 0
        cdef const char* data = PyUnicode_AsUTF8AndSize(text, &length)
        return self.intern_bytes(data, length)

    cdef uint32_t intern_bytes(self, const char* data, Py_ssize_t length) except 0 nogil:
        """Return the id of a text, new or not; the caller vouches for UTF-8 without U+0000."""
        return self.intern_hashed(data, length, hash_bytes(data, length))

    cdef uint32_t intern_hashed(
        self, const char* data, Py_ssize_t length, uint64_t hash
    ) except 0 nogil:
        """Return the id of a text of which the hash is known."""
        cdef uint32_t text_id = self.find(data, length, hash)
        cdef uint64_t place
        if text_id:
            return text_id
        if self.ends.size > TEXT_LIMIT:
            with gil:
                raise ValueError(f"expected at most {TEXT_LIMIT} distinct texts, found more")
        if <uint64_t> self.ends.size * 2 > self.mask:
            self._rehash((self.mask + 1) * 2)
        self.ends.make_room(2)
        if self.ends.size == 0:  # Not before: a column in a file is empty until it is loaded.
            self.ends.push(0)
        self.arena.make_room(length)
        memcpy(self.arena.data + self.arena.size, data, length)
        self.arena.size += length
        text_id = <uint32_t> self.ends.size
        self.ends.push(self.arena.size)
        place = hash & self.mask
        while self.slots[place]:
            place = (place + 1) & self.mask
        self.slots[place] = text_id
        return text_id

    cdef int64_t derive(self, const char* data, Py_ssize_t length) noexcept nogil:
        """Return the id of a text that was made on the way, interned on demand."""
        return self.intern_bytes(data, length)

    cdef int64_t id_of(self, str text) except -1:
        """Return the id of `text`, or 0 where it was never interned."""
        cdef Py_ssize_t length = 0
        cdef const char* data = PyUnicode_AsUTF8AndSize(text, &length)
        return self.find(data, length, hash_bytes(data, length))

    cdef str text(self, uint32_t text_id):
        """Return the text of an id that was given out."""
        cdef int64_t start = self.ends.get(text_id - 1)
        return PyUnicode_DecodeUTF8(
            self.arena.data + start, self.ends.get(text_id) - start, "strict"
        )

    cdef int compare(self, uint32_t left, uint32_t right) noexcept nogil:
        """Return less than, equal to or more than 0, by code points."""
        cdef int64_t left_start = self.ends.get(left - 1)
        cdef int64_t right_start = self.ends.get(right - 1)
        cdef int64_t left_length = self.ends.get(left) - left_start
        cdef int64_t right_length = self.ends.get(right) - right_start
        cdef int order = memcmp(
            self.arena.data + left_start,
            self.arena.data + right_start,
            min(left_length, right_length),
        )
        if order != 0:
            return order
        return (left_length > right_length) - (left_length < right_length)

    cdef bint starts_with(self, uint32_t text_id, uint32_t argument) noexcept nogil:
        cdef int64_t start = self.ends.get(text_id - 1)
        cdef int64_t wanted = self.ends.get(argument - 1)
        cdef int64_t length = self.ends.get(argument) - wanted
        if self.ends.get(text_id) - start < length:
            return False
        return memcmp(self.arena.data + start, self.arena.data + wanted, length) == 0

    cdef bint ends_with(self, uint32_t text_id, uint32_t argument) noexcept nogil:
        cdef int64_t end = self.ends.get(text_id)
        cdef int64_t wanted = self.ends.get(argument - 1)
        cdef int64_t length = self.ends.get(argument) - wanted
        if end - self.ends.get(text_id - 1) < length:
            return False
        return memcmp(self.arena.data + end - length, self.arena.data + wanted, length) == 0

    cdef bint contains(self, uint32_t text_id, uint32_t argument) noexcept nogil:
        cdef const char* wanted = self.arena.data + self.ends.get(argument - 1)
        cdef int64_t length = self.ends.get(argument) - self.ends.get(argument - 1)
        cdef const char* place = self.arena.data + self.ends.get(text_id - 1)
        cdef const char* last = self.arena.data + self.ends.get(text_id) - length
        if length == 0:
            return True
        while place <= last:
            place = <const char*> memchr(place, wanted[0], last - place + 1)
            if place == NULL:
                return False
            if memcmp(place, wanted, length) == 0:
                return True
            place += 1
        return False

    def restore(self):
        """Rebuild the table after a load; raises ValueError where the columns disagree."""
        cdef Py_ssize_t index
        cdef uint64_t slot_count = 64
        if self.ends.size == 0 and self.arena.size == 0:
            return
        if self.ends.size == 0 or self.ends.get(0) != 0:
            raise ValueError("texts: expected ends that begin with 0")
        for index in range(1, self.ends.size):
            if self.ends.get(index) < self.ends.get(index - 1):
                raise ValueError(f"texts: expected ascending ends, found a step back at {index}")
        if self.ends.get(self.ends.size - 1) != self.arena.size:
            raise ValueError(f"texts: expected ends up to {self.arena.size}")
        while <uint64_t> self.ends.size * 2 > slot_count - 1:
            slot_count *= 2
        self._rehash(slot_count)
