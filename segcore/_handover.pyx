"""A person leaves the engine of one partition and is taken in by another's, both without a word.

What is handed over is all that was ever said of the person, and the audiences that the person was
in: the one who takes the person in goes on from there.
"""

from libc.stdint cimport uint32_t

from segcore._audience cimport Audience
from segcore._engine cimport UNKNOWN, LiveEngine
from segcore._history cimport Draft, EventView
from segcore._leaf cimport Leaf
from segcore._values cimport checked_time

from segcore.changes import Departed


cdef class HandoverEngine(LiveEngine):
    """A `LiveEngine` whose people may come and go."""

    def forget(self, uint32_t ordinal):
        """Let go of a profile, which is in nothing any more, has no timers and is named no more.

        Returns what `take_in` takes. Its events keep their room, as those of nobody. Costs the
        profile's history, every leaf and every audience.
        """
        cdef Leaf leaf
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
        for leaf in self.leaves:
            leaf.clear(ordinal)
        for audience in self.audiences_in_order:
            audience.put(ordinal, False)
        self.events.drop(ordinal)
        self.attributes.drop(ordinal)
        self._make_known(ordinal)
        self._retire(ordinal)
        return departed

    def take_in(self, uint32_t ordinal, departed not None):
        """Make a new profile of what another engine let go; nobody enters or leaves by it.

        It is a member where it was one, of what is active here too: whether that still holds shows
        when the profile is touched, or merged. Raises ValueError for a profile that is known, for
        what is still to happen, and for values that cannot be kept.
        """
        cdef Leaf leaf
        cdef Audience audience
        cdef Py_ssize_t index
        self._check_ordinal(ordinal)
        if self.profiles.peek(ordinal) != UNKNOWN:
            raise ValueError(f"expected a new profile, found {ordinal}, which is known")
        cells = self._checked(ordinal, departed)
        self._make_known(ordinal)
        for event in departed.events:
            index = self.events.append(ordinal, event)
            for leaf in self.leaves_of_type.get(self.events.types.get(index), ()):
                if leaf.live:
                    leaf.add_event(index, self.horizon_ms)
        for key, value, as_of_ms, arrival, came_with in cells:
            self.attributes.put(ordinal, key, value, as_of_ms, arrival, came_with)
            self.arrivals = max(self.arrivals, arrival)
        for audience_id in departed.audiences:
            audience = self.audience_by_id.get(audience_id)
            if audience is not None and audience.active:
                audience.put(ordinal, True)

    def _checked(self, uint32_t ordinal, departed):
        """Return the attributes as cells, once it is sure that all can be kept."""
        cdef Draft draft = Draft(self.texts)
        cdef EventView view
        cdef list cells = []
        cdef Py_ssize_t text_count = len(self.texts)
        try:
            for event in departed.events:
                if event.occurred_ms > self.now_ms:
                    raise ValueError(
                        f"occurred_ms: expected at most {self.now_ms}, found {event.occurred_ms}"
                    )
                draft.encode(ordinal, event, &view)
            for arrival, change in departed.attribute_changes:
                as_of_ms = checked_time(change.as_of_ms, "as_of_ms")
                came_with = self.texts.intern(change.came_with) if change.came_with else 0
                for key, value in self.attributes.encode(change.values):
                    cells.append((key, value, as_of_ms, arrival, came_with))
        except BaseException:
            self.texts.forget(text_count)
            raise
        return cells
