"""The ids of short texts that came lately, one cache line away: types, names, labels, SKUs.

A table of the last text of each hash, beside the dictionary that has them all. Texts are compared
whole, so that it never changes what an id is. A call that fails may take back ids that were given
out in it, and only those: none of them is here, since no call of an engine reads a pack.
"""

from libc.stdlib cimport calloc, free

from segcore._text_hash cimport SPELLED_BYTES, hash_bytes, hash_words, spell, spell_near


cdef class Memo:
    """The memo of one dictionary."""

    def __cinit__(self, Texts texts not None):
        self.texts = texts
        self.empty_hash = hash_bytes(b"", 0)
        self.entries = <MemoEntry*> calloc(1 << MEMO_BITS, sizeof(MemoEntry))
        if self.entries == NULL:
            raise MemoryError("no memory for a memo of texts")

    def __dealloc__(self):
        free(self.entries)

    cdef bint look_up(self, Label* label, bint near) noexcept nogil:
        """Give a label its hash, and its id where that is here; tell whether it is.

        `near`: SPELLED_BYTES may be looked at from the beginning of the text on.
        """
        cdef Spelled words
        cdef MemoEntry* entry
        cdef const char* data = label.text.data
        cdef Py_ssize_t length = label.text.length
        label.text_id = 0
        if length > SPELLED_BYTES:
            label.hash = hash_bytes(data, length)
            return False
        words = spell_near(data, length) if near else spell(data, length)
        label.hash = hash_words(&words, length)
        entry = self.place_of(label.hash)
        if (
            entry.words.first == words.first
            and entry.words.middle == words.middle
            and entry.words.last == words.last
            and entry.length == length
        ):
            label.text_id = entry.text_id
        return label.text_id != 0

    cdef uint32_t keep(self, const Label* label) except 0 nogil:
        """Ask the dictionary, and let the text take the place of the last of its hash."""
        cdef Text text = label.text
        cdef uint32_t text_id = self.texts.intern_hashed(text.data, text.length, label.hash)
        cdef MemoEntry* entry
        if text.length <= SPELLED_BYTES:
            entry = self.place_of(label.hash)
            entry.words = spell(text.data, text.length)
            entry.length = <uint32_t> text.length
            entry.text_id = text_id
        return text_id
