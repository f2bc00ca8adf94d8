"""The ids of short texts that came lately, one cache line away: types, names, labels, SKUs.

A table of the last text of each hash, beside the dictionary that has them all. Texts are compared
whole, so that it never changes what an id is. A call that fails may take back ids that were given
out in it, and only those: none of them is here, since no call of an engine reads a pack.
"""

from libc.stdlib cimport calloc, free


cdef class Memo:
    """The memo of one dictionary."""

    def __cinit__(self, Texts texts not None):
        self.texts = texts
        self.entries = <MemoEntry*> calloc(1 << MEMO_BITS, sizeof(MemoEntry))
        if self.entries == NULL:
            raise MemoryError("no memory for a memo of texts")

    def __dealloc__(self):
        free(self.entries)
