"""One audience: its rule over signals, and the signal that it is.

Who is a member is kept twice: as that signal, beside all else that is true of a profile, and as a
set of its own.

The place of ordinal 0, which nobody has, tells whether the rule holds for a person of whom nothing
is known.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset


cdef class Audience:
    """`rank` is its place in the order of evaluation: after every audience that it refers to."""

    def __cinit__(self, str audience_id, uint32_t version, object rule, Signal signal not None):
        self.audience_id = audience_id
        self.version = version
        self.rule = rule
        self.signal = signal
        self.members = Bits()
        self.nodes = []
        self.parents = []

    cdef int evaluate_all(self, Bits known, Bits members) except -1 nogil:
        """Write to `members` for whom the rule holds, of those who are known."""
        cdef Py_ssize_t place
        cdef uint64_t word
        for place in range(known.word_count):
            if known.words[place]:
                word = self.logic.word(place) & known.words[place]
                if word:
                    members.resize(max(members.word_count, place + 1))
                    members.words[place] = word
        return 0

    cdef int take(self, Bits members) except -1:
        """Let these be the members; nobody is queued by it."""
        cdef Bits bits = self.members
        cdef Py_ssize_t place
        if bits.word_count < members.word_count:
            bits.resize(members.word_count)
        memset(bits.words, 0, bits.word_count * sizeof(uint64_t))
        memcpy(bits.words, members.words, members.word_count * sizeof(uint64_t))
        for place in range(bits.word_count):
            self.signal.truth.scatter(place, self.signal.column, bits.words[place])
        return 0
