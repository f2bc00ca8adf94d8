"""Profiles that become one, come apart, leave and come.

Each of these counts all rows of the profiles concerned anew and evaluates every audience for them:
afterwards they are what they would have been, had their events been their own from the start.
"""

from segcore._audience cimport Audience
from segcore._table cimport EventView, Table
from segcore._values cimport checked_time
from segcore._node cimport Node

from segcore.changes import Departed, Merged


cdef class PeopleEngine(LiveEngine):
    """A `LiveEngine` whose profiles may be united, divided, let go and taken in."""

    def merge(self, uint32_t winner, uint32_t loser):
        """Make all that the loser had the winner's.

        The winner's changes come back; the loser just is in nothing any more.
        """
        cdef list inherited = []
        cdef Audience audience
        cdef bint former, absorbed, member
        if winner == loser:
            raise ValueError(f"expected two profiles, found {winner} twice")
        self._check_ordinal(winner)
        self._check_ordinal(loser)
        self._make_known(winner)
        self._make_known(loser)
        self.events.unite(winner, loser)
        self.attributes.unite(winner, loser)
        self._retire(loser)
        self._forget_bits(loser)
        self._recount(winner)
        for audience in self.audiences_in_order:
            if not audience.active:
                continue
            former, absorbed = audience.has(winner), audience.has(loser)
            member = audience.logic.holds(winner)
            audience.place(winner, member)
            audience.place(loser, False)
            if member and absorbed and not former:
                inherited.append(audience.audience_id)
            elif member != former:
                self.flips.add(audience.rank, winner, member, self.now_ms, False, -1)
        return Merged(self._changes(), tuple(inherited))

    def divide(self, uint32_t ordinal, uint32_t new_ordinal, identifiers):
        """Give a new profile what came with these identifiers; return the changes of both."""
        self._check_ordinal(ordinal)
        self._check_ordinal(new_ordinal)
        if self.known.get(new_ordinal):
            raise ValueError(f"expected a new profile, found {new_ordinal}, which is known")
        self._make_known(ordinal)
        self._make_known(new_ordinal)
        self.events.divide(ordinal, new_ordinal, identifiers)
        self.attributes.divide(ordinal, new_ordinal, identifiers)
        self._recount(ordinal)
        self._recount(new_ordinal)
        return [*self._evaluate_person(ordinal), *self._evaluate_person(new_ordinal)]

    def erase(self, uint32_t ordinal):
        """Let a profile leave every audience and be no more; return its exits.

        Its rows are nobody's from here on; what they say stays in the columns until those are
        written anew.
        """
        cdef Audience audience
        self._check_ordinal(ordinal)
        for audience in self.audiences_in_order:
            if audience.active and audience.has(ordinal):
                self.flips.add(audience.rank, ordinal, False, self.now_ms, False, -1)
        self._let_go(ordinal)
        return self._changes()

    def forget(self, uint32_t ordinal):
        """Let go of a profile, which is in nothing any more, has no timers and is named no more.

        Returns what `take_in` takes. Its rows keep their room, as those of nobody.
        """
        cdef Audience audience
        self._check_ordinal(ordinal)
        departed = Departed(
            tuple([self.events.event(index) for index in self.events.of_profile(ordinal)]),
            self.attributes.arrived(ordinal),
            tuple([
                audience.audience_id for audience in self.audiences_in_order
                if audience.active and audience.has(ordinal)
            ]),
        )
        self._let_go(ordinal)
        return departed

    def _let_go(self, uint32_t ordinal):
        cdef Audience audience
        self._forget_bits(ordinal)
        for audience in self.audiences_in_order:
            audience.place(ordinal, False)
        self.events.drop(ordinal)
        self.attributes.drop(ordinal)
        self._make_known(ordinal)
        self._retire(ordinal)

    def take_in(self, uint32_t ordinal, departed not None):
        """Make a new profile of what another engine let go; nobody enters or leaves by it.

        It is a member where it was one, of what is active here too: whether that still holds shows
        when the profile is touched, or merged. Raises ValueError for a profile that is known, for
        what is still to happen, and for values that cannot be kept.
        """
        cdef Audience audience
        self._check_ordinal(ordinal)
        if self.known.get(ordinal):
            raise ValueError(f"expected a new profile, found {ordinal}, which is known")
        cells = self._checked(departed)
        self._make_known(ordinal)
        for event in departed.events:
            self.events.append(ordinal, event)
        for key, value, as_of_ms, arrival, source in cells:
            self.attributes.put(ordinal, key, value, as_of_ms, arrival, source)
            self.arrivals = max(self.arrivals, arrival)
        self._recount(ordinal)
        for audience in self.audiences_in_order:
            if audience.active and audience.audience_id in departed.audiences:
                audience.place(ordinal, True)

    def _checked(self, departed):
        """Return the attributes as cells, once it is sure that all can be kept."""
        cdef Py_ssize_t text_count = self.texts.count()
        try:
            return self._checked_cells(departed)
        except BaseException:
            self.texts.forget(text_count)
            raise

    def _checked_cells(self, departed):
        cdef list cells = []
        cdef EventView view
        for event in departed.events:
            if event.occurred_ms > self.now_ms:
                raise ValueError(
                    f"occurred_ms: expected at most {self.now_ms}, found {event.occurred_ms}"
                )
            self.events.draft.encode(0, event, &view)
        for arrival, change in departed.attribute_changes:
            as_of_ms = checked_time(change.as_of_ms, "as_of_ms")
            source = self.texts.intern(change.came_with) if change.came_with else 0
            for key, value in self.attributes.encode(change.values):
                cells.append((key, value, as_of_ms, arrival, source))
        return cells

    cdef int _recount(self, uint32_t ordinal) except -1:
        """Count all rows of a profile anew, and set its bits; nobody is queued by it."""
        cdef Node node
        cdef Py_ssize_t index, place
        cdef Py_ssize_t text_count = self.texts.count()
        for node in self.nodes:
            if node is not None:
                node.clear(ordinal)
        for index in self.events.of_profile(ordinal):
            place = self.events.places.find(self.events.types.get(index))
            for node in self._listening(place):
                node.count_event(
                    <Table> self.events.table_pointers[place], self.events.rows.get(index),
                    ordinal, self.horizon_ms,
                )
        for node in self.nodes:
            if node is not None:
                node.refresh(ordinal, self.now_ms, self.horizon_ms)
        self.texts.forget(text_count)
        self.around.queue.empty()
        return 0

    cdef int _forget_bits(self, uint32_t ordinal) except -1:
        """Let no node know a profile; nobody is queued by it."""
        cdef Node node
        for node in self.nodes:
            if node is not None:
                node.clear(ordinal)
        self.around.queue.empty()
        return 0

    cdef list _evaluate_person(self, uint32_t ordinal):
        """Evaluate every audience for one profile; return what that changes."""
        cdef Audience audience
        cdef bint member
        for audience in self.audiences_in_order:
            if not audience.active:
                continue
            member = audience.logic.holds(ordinal)
            if member != audience.has(ordinal):
                audience.place(ordinal, member)
                self.flips.add(audience.rank, ordinal, member, self.now_ms, False, -1)
        return self._changes()
