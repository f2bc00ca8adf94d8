"""Whose the rows of an ordinal are, after merges.

Rows name the ordinal that they came for, for ever. An owner's ordinals are a chain that begins with
itself, so a merge costs as many steps as the loser has ordinals.
"""

from segcore.storage import ColumnStore


cdef class Owners:
    """`merged` is false while no merge ever happened: then every ordinal is its own."""

    def __cinit__(self, store=None):
        self.winners = (store or ColumnStore()).hold("owners", Uint32Column)
        self.following = Uint32Column()
        self.last = Uint32Column()

    cdef int _grow(self, uint32_t ordinal) except -1:
        cdef Py_ssize_t place = self.last.size
        if ordinal < place:
            return 0
        self.winners.resize(ordinal + 1)
        self.following.resize(ordinal + 1)
        self.last.resize(ordinal + 1)
        return 0

    cdef int unite(self, uint32_t winner, uint32_t loser) except -1:
        """Make all ordinals of `loser` those of `winner`; both own themselves before."""
        cdef uint32_t member = loser
        cdef uint32_t end
        self._grow(max(winner, loser))
        self.merged = True
        end = self.last.get(winner)
        self.following.put(end if end else winner, loser)
        while member:
            self.winners.put(member, winner)
            end = member
            member = self.following.get(member)
        self.last.put(winner, end)
        return 0

    def restore(self):
        """Chain the ordinals of each owner; raises ValueError where an owner is another's."""
        cdef Py_ssize_t ordinal
        cdef uint32_t winner, end
        cdef Py_ssize_t size = self.winners.size
        self.following.resize(0)
        self.last.resize(0)
        self.following.resize(size)
        self.last.resize(size)
        for ordinal in range(size):
            winner = self.winners.get(ordinal)
            if not winner:
                continue
            if winner >= size or self.winners.get(winner) or winner == ordinal or not ordinal:
                raise ValueError(f"owners: expected an owner of its own, found {winner}")
            self.merged = True
            end = self.last.get(winner)
            self.following.put(end if end else winner, <uint32_t> ordinal)
            self.last.put(winner, <uint32_t> ordinal)
