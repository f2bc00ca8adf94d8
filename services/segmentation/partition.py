"""The state of one partition: segcore's engine, with definitions, catalog and membership records.

A deterministic function of the facts log. A method is one fact; what it returns became true by it.
Not safe for threads by itself: the stage writes and calls read under `lock`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from segcore import Change as Flip
from segcore import Engine, Event, PropertyValue
from segcore._batch import Batch
from segcore._bits import Bits
from segcore._catalog import Catalog
from segcore._event_ids import event_id
from segcore._journal import Journal
from services.segmentation import domain
from services.segmentation.domain import (
    Belongings,
    CatalogFacts,
    Cause,
    Definition,
    State,
    WitnessRow,
    published_attribute,
)
from services.segmentation.ranks import Ranks, RunChanges
from services.segmentation.records import Records
from services.segmentation.transitions import Transition, of_many
from services.segmentation.turns import Turns
from services.segmentation.versions import Versions
from services.segmentation.witnessing import Course, Witnessing


class Partition:
    """Who is in which audience among the profiles of one partition.

    `redirects` lead from merged profiles to profiles of this partition, `departures` from those who
    left to profiles of others. `arrival` is the place among all inputs of the one at hand.
    """

    def __init__(
        self, number: int, engine: Engine | None = None, journal: Journal | None = None
    ) -> None:
        self.number = number
        self.lock = Turns()
        self.engine = engine or Engine()
        self.records = Records(lambda event: event_id(self.engine, event), journal)
        self.versions = Versions(lambda: self.engine, self.records)
        self.witnessing = Witnessing()
        self.catalog: dict[str, CatalogFacts] = {}
        self.columns_of_catalog = Catalog(self.engine.texts)
        self.run = Batch(self.engine.texts)
        self._ranks: Ranks | None = None
        self.redirects: dict[int, int] = {}
        self.departures: dict[int, int] = {}
        self.extensions: list[bytes] = []
        self.inbound_seq = 0
        self.settled_seq = 0
        self.arrival = 0
        self.facts_seq = 0
        self.log_time_ms = 0
        self.next_due_ms: int | None = None
        self.last_ordinal = 0
        self.build_progress = 1.0

    @property
    def definitions(self) -> dict[str, Definition]:
        """The version of each audience that is live, or the first one while that is built."""
        return self.versions.library.current

    def pass_time(self, log_time_ms: int, *, inclusive: bool) -> RunChanges | None:
        """Let time come to `log_time_ms`; what falls due is done in order, at its own instant."""
        self.log_time_ms = max(self.log_time_ms, log_time_ms)
        horizon_ms = self.engine.horizon_ms
        self.engine.pass_time(self.log_time_ms, inclusive)
        # Flips of no event are as after the last one that came.
        return self._changed(self.engine.take_flips(), self.engine.event_count + 1, horizon_ms)

    def note_next_due(self) -> None:
        """Keep when time acts next, for those who ask often and without the lock."""
        self.next_due_ms = self.engine.next_due_ms()

    def know(self, ordinal: int, cause_id: str) -> list[Transition]:
        """Make a profile known: a rule may hold for a person of whom nothing has happened."""
        self.last_ordinal = max(self.last_ordinal, ordinal)
        if self.current(ordinal) in self.departures:
            return []
        flips = self.engine.ensure_profile(self.current(ordinal))
        return self.told(flips, Cause.ATTRIBUTE, cause_id)

    def add_event(self, ordinal: int, event: Event) -> list[Transition]:
        """Add an event to the person's history."""
        flips = self.engine.add_event(ordinal, event)
        if not flips:
            return []
        return self.told(flips, Cause.EVENT, event.event_id, self.engine.event_count - 1)

    def add_run(self) -> RunChanges | None:
        """Take the events of `run`, each at its own log time; return what they change."""
        engine = self.engine
        ordinal, log_time_ms = self.run.extent()
        self.last_ordinal = max(self.last_ordinal, ordinal)
        came_before, horizon_ms = engine.event_count, engine.horizon_ms
        flips = engine.apply(self.run)
        self.log_time_ms = max(self.log_time_ms, min(log_time_ms, engine.now_ms))
        return self._changed(flips, came_before, horizon_ms)

    def _changed(
        self, flips: NDArray[np.void], came_before: int, horizon_ms: int
    ) -> RunChanges | None:
        """Keep what arrays of the engine say that changed; None for nothing."""
        if not len(flips):
            return None
        ranks = self._ranks = self._ranks or Ranks.of(self.engine, self.versions, self.records)
        numbers = self.records.add_run(flips, ranks.labels, came_before)
        course = ranks.course(self.engine, flips, came_before, horizon_ms)
        found = self._run_witnesses(course) if course is not None else {}
        return RunChanges(flips, numbers, ranks, found)

    def _run_witnesses(self, course: Course) -> dict[int, tuple[WitnessRow, ...]]:
        """Return the rows by which people entered by a run, by the place of the flip."""
        found = {}
        for place, flip in enumerate(course.flips):
            audience_id = self.versions.builds.audience_of(flip.audience_id)
            if flip.entered and audience_id is not None:
                found[place] = self._witnesses(audience_id, course, place)
        return found

    def note_item(self, sku: str, known: CatalogFacts) -> None:
        """Take what the catalog says of an item from now on."""
        self.catalog[sku] = known
        self.columns_of_catalog.put(sku, known.category, known.brand, known.price)

    def set_attributes(
        self,
        ordinal: int,
        values: dict[str, PropertyValue | None],
        as_of_ms: int,
        cause_id: str,
        came_with: str = "",
    ) -> list[Transition]:
        """Set attributes; the latest `as_of_ms` wins for each."""
        flips = self.engine.set_attributes(ordinal, values, as_of_ms, self.arrival, came_with)
        return self.told(flips, Cause.ATTRIBUTE, cause_id)

    def publish(  # noqa: PLR0913, PLR0917  the parts of the fact
        self,
        ordinal: int,
        audience_id: str,
        publication_id: str,
        member: bool,  # noqa: FBT001  the one thing that is said
        as_of_ms: int,
        cause_id: str,
        came_with: str = "",
    ) -> list[Transition]:
        """Take what a publisher says of a person, for one publication or for all that matter."""
        publications = (
            [publication_id]
            if publication_id
            else [
                each.publication_id
                for each in self.versions.library.versions(audience_id)
                if each.publication_id and each.state in {State.ACTIVE, State.BACKFILLING}
            ]
        )
        names = [published_attribute(audience_id, each) for each in publications]
        values = dict.fromkeys(names, True if member else None)
        flips = self.engine.set_attributes(ordinal, values, as_of_ms, self.arrival, came_with)
        return self.told(flips, Cause.PUBLICATION, cause_id)

    def merge(self, winner: int, loser: int, merge_id: str) -> list[Transition]:
        """Unite two profiles: the winner becomes what it would be, had all events been its own."""
        lost = {
            each: self._why(each, loser) for each in self._active() if self.is_member(each, loser)
        }
        shared = [each for each in lost if self.is_member(each, winner)]
        self._keep_past(winner, loser)
        merged = self.engine.merge(winner, loser)
        inherited = self._seen(merged.inherited)
        for audience_id in shared:
            record = domain.united(self._why(audience_id, winner), lost[audience_id])
            self.records.keep(audience_id, winner, record, member=True)
        for audience_id in inherited:
            former = self.records.find(audience_id, winner)
            record = domain.inherited(former, lost[audience_id])
            self.records.keep(audience_id, winner, record, member=True)
        ended = self._end_with(lost, winner, {*shared, *inherited})
        self.records.drop_person(loser)
        self.redirects[loser] = winner
        changes = self.told(merged.changes, Cause.MERGE, merge_id)
        return changes + self.told(ended, Cause.MERGE, merge_id)

    def _seen(self, engine_ids: Sequence[str]) -> list[str]:
        """Return the audiences for which the engine's stand, of those that callers see."""
        found = [self.versions.builds.audience_of(each) for each in engine_ids]
        return [each for each in found if each is not None]

    def _keep_past(self, winner: int, loser: int) -> None:
        """Keep when the loser left what neither is in: the past of both is the winner's."""
        for audience_id, record in list(self.records.of(loser)):
            if not any(self.is_member(audience_id, each) for each in (winner, loser)):
                past = domain.past(self.records.find(audience_id, winner), record)
                self.records.keep(audience_id, winner, past, member=False)

    def _end_with(
        self, lost: Mapping[str, domain.Change], winner: int, goes_on: set[str]
    ) -> list[Flip]:
        """Return the exits from what only the loser was in and the winner is not.

        Whoever reads the transitions takes the winner for a member where the loser was one.
        """
        flips = []
        for audience_id, record in lost.items():
            if audience_id not in goes_on:
                former = self.records.find(audience_id, winner)
                past = domain.inherited(former, record)
                self.records.keep(audience_id, winner, past, member=True)
                version = self.definitions[audience_id].version
                engine_id = self.versions.builds.current[audience_id]
                flips.append(Flip(engine_id, version, winner, False, self.log_time_ms, False))  # noqa: FBT003  entered, clock
        return flips

    def depart(self, ordinal: int, into: int) -> Belongings:
        """Let a person go, without an exit, to become part of a profile of another partition.

        From here on who asks for the person is led to `into`.
        """
        self.last_ordinal = max(self.last_ordinal, ordinal)
        records = dict(self.records.of(ordinal))
        departed = self.engine.forget(ordinal)
        self.records.drop_person(ordinal)
        self.departures[ordinal] = into
        audiences = tuple(self._seen(departed.audiences))
        return Belongings(departed._replace(audiences=audiences), records)

    def arrive(
        self, guest: int, winner: int, belongings: Belongings, merge_id: str
    ) -> list[Transition]:
        """Take in who comes from another partition as `guest`, and make that part of `winner`."""
        departed, library = belongings.departed, self.versions.library
        here = {
            each: record
            for each, record in belongings.records.items()
            if each in library.current and record.version > library.removed.get(each, 0)
        }
        names = self.versions.builds.current
        was_in = tuple(names[each] for each in departed.audiences if each in here)
        self.last_ordinal = max(self.last_ordinal, guest)
        self.engine.take_in(guest, departed._replace(audiences=was_in))
        for audience_id, record in here.items():
            member = audience_id in departed.audiences
            self.records.keep(audience_id, guest, record, member=member)
        return self.merge(winner, guest, merge_id)

    def propose(self, definition: Definition) -> None:
        """Begin to build a version over the history; one that does not fit any more is none."""
        self.versions.propose(definition)
        self._ranks = None

    @property
    def building(self) -> bool:
        """Whether some version is still on its way to being live, or to being ready."""
        return self.versions.unready()

    def build(self, rows: int) -> bool:
        """Read more of the history into what is being built; return whether all of it is read."""
        self.build_progress = self.engine.build(rows)
        return self.build_progress >= 1.0

    def activate(self, audience_id: str, version: int) -> list[Transition]:
        """Swap a version in, complete, and what depends on it; who moves by it does so at once."""
        moved = self.versions.activate(audience_id, version, self.log_time_ms)
        self._ranks = None
        self._forget_publications(audience_id, self.versions.library.collected(audience_id))
        return [of_many(each, self.log_time_ms) for each in moved]

    def delete(self, audience_id: str) -> list[Transition]:
        """Remove an audience, unless something refers to it; its members leave at once."""
        publications = {
            each.publication_id: None for each in self.versions.library.versions(audience_id)
        }
        moved = self.versions.delete(audience_id)
        self._ranks = None
        self.witnessing.keep(self.definitions)
        if audience_id not in self.definitions:
            self._forget_publications(audience_id, [each for each in publications if each])
        return [of_many(each, self.log_time_ms) for each in moved]

    def _forget_publications(self, audience_id: str, publication_ids: Sequence[str]) -> None:
        """Give back the room of members whom no version can bring back any more."""
        if publication_ids:
            names = [published_attribute(audience_id, each) for each in publication_ids]
            self.engine.forget_attributes(names)

    def extend_schema(self, extension: bytes) -> None:
        """Keep one more extension of the schema, as it stood in the log."""
        self.extensions.append(extension)

    def membership(self, audience_id: str, ordinal: int, person: int) -> domain.Membership:
        """Return whether a person is in an audience; the audience is active."""
        member = self.is_member(audience_id, ordinal)
        change = self.records.find(audience_id, ordinal)
        return domain.Membership(audience_id, person, member, change)

    def knows(self, ordinal: int) -> bool:
        """Tell whether a profile with this ordinal was ever given out: ordinals are dense."""
        return 0 < ordinal <= self.last_ordinal

    def is_there(self, ordinal: int) -> bool:
        """Tell whether a profile that went into no other one is somebody: not if it was erased."""
        return ordinal in self.engine.known

    def current(self, ordinal: int) -> int:
        """Return the ordinal that a merged profile's ordinal leads to."""
        while ordinal in self.redirects:
            ordinal = self.redirects[ordinal]
        return ordinal

    def _active(self) -> list[str]:
        return [each for each, it in self.definitions.items() if it.state is State.ACTIVE]

    def is_member(self, audience_id: str, ordinal: int) -> bool:
        """Tell whether a person is in an audience that exists."""
        definition = self.definitions[audience_id]
        engine_id = self.versions.builds.current[audience_id]
        return definition.state is State.ACTIVE and self.engine.is_member(engine_id, ordinal)

    def members(self, audience_id: str) -> BitMap:
        """Return the ordinals of an audience's members; nobody's where it is not live."""
        if self.definitions[audience_id].state is not State.ACTIVE:
            return BitMap()
        return self.versions.builds.members(audience_id)

    def everybody(self) -> Bits:
        """Return a copy of who is here: no one that went into another one."""
        return Bits.from_bytes(self.engine.known.bytes())

    def _why(self, audience_id: str, ordinal: int) -> domain.Change:
        """Return a member's record; who entered when the audience went live has none of its own."""
        record = self.records.find(audience_id, ordinal)
        if record is not None:
            return record
        it = self.definitions[audience_id]
        return domain.entered(None, it.activate_ms, Cause.DEFINITION, "", it.version)

    def told(
        self, flips: Sequence[Flip], cause: Cause, cause_id: str, event: int | None = None
    ) -> list[Transition]:
        """Turn what the engine found into transitions, each with its number, and keep why.

        `event` is the engine's place of the event that did it.
        """
        course = Course(self.engine, flips)
        why = cause, cause_id, event
        found = (self._recorded(course, place, *why) for place in range(len(flips)))
        return [each for each in found if each is not None]

    def _recorded(
        self, course: Course, place: int, cause: Cause, cause_id: str, event: int | None
    ) -> Transition | None:
        """Return a flip as a transition; None for that of one built beside, which nobody sees."""
        flip = course.flips[place]
        audience_id = self.versions.builds.audience_of(flip.audience_id)
        if audience_id is None:
            return None
        if flip.clock:
            cause, cause_id = Cause.CLOCK, ""
        version, ordinal = flip.version, flip.ordinal
        sequence = self.records.add(
            audience_id, version, ordinal, flip.entered, flip.at_ms, cause, cause_id, event
        )
        return Transition(
            audience_id,
            version,
            flip.entered,
            flip.at_ms,
            cause,
            cause_id,
            ordinal,
            sequence,
            witnesses=self._witnesses(audience_id, course, place) if flip.entered else (),
        )

    def _witnesses(self, audience_id: str, course: Course, place: int) -> tuple[WitnessRow, ...]:
        """Return the rows by which somebody entered an audience of a rule over items."""

        def was_in(other: str) -> bool:
            if self.definitions[other].state is not State.ACTIVE:
                return False
            return course.was_in(self.versions.builds.current[other], place)

        definition = self.definitions[audience_id]
        return self.witnessing.rows(self.engine, definition, course, place, was_in)
