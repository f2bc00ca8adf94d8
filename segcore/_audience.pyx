"""One audience: its program, and a byte for each profile.

The place of ordinal 0, which nobody has, tells whether the rule holds for a person of whom nothing
is known.
"""

from array import array


cdef class Audience:
    """`rank` is its place in the order of evaluation: after every audience that it refers to."""

    def __cinit__(self, str audience_id, uint32_t version, object rule, int32_t rank):
        self.audience_id = audience_id
        self.version = version
        self.rule = rule
        self.rank = rank
        self.members = ByteColumn()
        self.leaves = []
        self.parents = []
        self.children = []

    cdef int put(self, uint32_t ordinal, bint member) except -1 nogil:
        """Set a membership."""
        if ordinal >= self.members.size:
            if not member:
                return 0
            self.members.resize(ordinal + 1)
        self.members.put(ordinal, member)
        return 0

    cdef object ordinals(self):
        """Return the members as an ascending array of 32-bit ordinals."""
        cdef object found = array("I")
        cdef Py_ssize_t count = 0
        cdef Py_ssize_t ordinal
        cdef uint32_t[::1] view
        for ordinal in range(1, self.members.size):
            count += self.members.get(ordinal)
        found = array("I", bytes(4 * count))
        if not count:
            return found
        view = found
        count = 0
        for ordinal in range(1, self.members.size):
            if self.members.get(ordinal):
                view[count] = <uint32_t> ordinal
                count += 1
        return found
