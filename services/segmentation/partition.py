"""The state of one partition: segcore's engine, with definitions, catalog and membership records.

A deterministic function of the facts log. A method is one fact; what it returns became true by it.
Not safe for threads by itself: the stage writes and calls read under `lock`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segcore import Change as Flip
from segcore import Engine, Event, PropertyValue
from segcore.rule_json import from_json
from services.segmentation import domain
from services.segmentation.domain import Belongings, CatalogFacts, Cause, Definition, State


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry or exit of one person, or all entries of a definition (`entrants`)."""

    audience_id: str
    version: int
    entered: bool
    at_ms: int
    cause: Cause
    cause_id: str
    ordinal: int
    sequence: int
    entrants: bytes = b""


class Partition:
    """Who is in which audience among the profiles of one partition.

    `redirects` lead from merged profiles to profiles of this partition, `departures` from those who
    left to profiles of others. `arrival` is the place among all inputs of the one at hand.
    """

    def __init__(self, number: int, engine: Engine | None = None) -> None:
        self.number = number
        self.lock = threading.RLock()
        self.engine = engine or Engine()
        self.definitions: dict[str, Definition] = {}
        self.catalog: dict[str, CatalogFacts] = {}
        self.records: dict[str, dict[int, domain.Change]] = {}
        self.sequences: dict[int, int] = {}
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

    def pass_time(self, log_time_ms: int, *, inclusive: bool) -> list[Transition]:
        """Let time come to `log_time_ms`; what falls due is done in order, at its own instant."""
        self.log_time_ms = max(self.log_time_ms, log_time_ms)
        flips = self.engine.advance(self.log_time_ms, inclusive)
        return self._record(flips, Cause.CLOCK, "") if flips else []

    def note_next_due(self) -> None:
        """Keep when time acts next, for those who ask often and without the lock."""
        self.next_due_ms = self.engine.next_due_ms()

    def know(self, ordinal: int, cause_id: str) -> list[Transition]:
        """Make a profile known: a rule may hold for a person of whom nothing has happened."""
        self.last_ordinal = max(self.last_ordinal, ordinal)
        if self.current(ordinal) in self.departures:
            return []
        flips = self.engine.ensure_profile(self.current(ordinal))
        return self._record(flips, Cause.ATTRIBUTE, cause_id)

    def add_event(self, ordinal: int, event: Event) -> list[Transition]:
        """Add an event to the person's history."""
        flips = self.engine.add_event(ordinal, event)
        return self._record(flips, Cause.EVENT, event.event_id) if flips else []

    def set_attributes(
        self,
        ordinal: int,
        values: dict[str, PropertyValue | None],
        as_of_ms: int,
        cause_id: str,
    ) -> list[Transition]:
        """Set attributes; the latest `as_of_ms` wins for each."""
        flips = self.engine.set_attributes(ordinal, values, as_of_ms, self.arrival)
        return self._record(flips, Cause.ATTRIBUTE, cause_id)

    def merge(self, winner: int, loser: int, merge_id: str) -> list[Transition]:
        """Unite two profiles: the winner becomes what it would be, had all events been its own."""
        lost = {
            each: self._why(each, loser) for each in self._active() if self._is_member(each, loser)
        }
        shared = [each for each in lost if self._is_member(each, winner)]
        self._keep_past(winner, loser)
        merged = self.engine.merge(winner, loser)
        for audience_id in shared:
            record = domain.united(self._why(audience_id, winner), lost[audience_id])
            self._keep(audience_id, winner, record)
        for audience_id in merged.inherited:
            former = self.records.get(audience_id, {}).get(winner)
            self._keep(audience_id, winner, domain.inherited(former, lost[audience_id]))
        ended = self._end_with(lost, winner, {*shared, *merged.inherited})
        self._drop_records(loser)
        self.redirects[loser] = winner
        return self._record([*merged.changes, *ended], Cause.MERGE, merge_id)

    def _keep_past(self, winner: int, loser: int) -> None:
        """Keep when the loser left what neither is in: the past of both is the winner's."""
        for audience_id, records in self.records.items():
            if loser in records and not any(
                self._is_member(audience_id, each) for each in (winner, loser)
            ):
                records[winner] = domain.past(records.get(winner), records[loser])

    def _end_with(
        self, lost: Mapping[str, domain.Change], winner: int, goes_on: set[str]
    ) -> list[Flip]:
        """Return the exits from what only the loser was in and the winner is not.

        Whoever reads the transitions takes the winner for a member where the loser was one.
        """
        flips = []
        for audience_id, record in lost.items():
            if audience_id not in goes_on:
                former = self.records.get(audience_id, {}).get(winner)
                self._keep(audience_id, winner, domain.inherited(former, record))
                version = self.definitions[audience_id].version
                flips.append(Flip(audience_id, version, winner, False, self.log_time_ms, False))  # noqa: FBT003  entered, clock
        return flips

    def depart(self, ordinal: int, into: int) -> Belongings:
        """Let a person go, without an exit, to become part of a profile of another partition.

        From here on who asks for the person is led to `into`.
        """
        self.last_ordinal = max(self.last_ordinal, ordinal)
        records = {
            audience_id: records[ordinal]
            for audience_id, records in self.records.items()
            if ordinal in records
        }
        for audience_id in self._active():
            if self._is_member(audience_id, ordinal):
                records[audience_id] = self._why(audience_id, ordinal)
        departed = self.engine.forget(ordinal)
        self._drop_records(ordinal)
        self.departures[ordinal] = into
        return Belongings(departed, records)

    def arrive(
        self, guest: int, winner: int, belongings: Belongings, merge_id: str
    ) -> list[Transition]:
        """Take in who comes from another partition as `guest`, and make that part of `winner`."""
        departed, records = belongings.departed, belongings.records
        here = {
            each: record
            for each, record in records.items()
            if each in self.definitions and self.definitions[each].version == record.version
        }
        was_in = tuple(each for each in departed.audiences if each in here)
        self.last_ordinal = max(self.last_ordinal, guest)
        self.engine.take_in(guest, departed._replace(audiences=was_in))
        for audience_id, record in here.items():
            self._keep(audience_id, guest, record)
        return self.merge(winner, guest, merge_id)

    def propose(self, definition: Definition) -> None:
        """Begin to build an audience over the history; the first of an id wins."""
        if definition.audience_id in self.definitions:
            return
        self.definitions[definition.audience_id] = definition
        rule = from_json(definition.rule_json)
        self.engine.add_audience(definition.audience_id, definition.version, rule)

    @property
    def building(self) -> bool:
        """Whether some audience is not live yet."""
        return any(each.state is State.BACKFILLING for each in self.definitions.values())

    def build(self, rows: int) -> bool:
        """Read more of the history into what is being built; return whether all of it is read."""
        self.build_progress = self.engine.build(rows)
        return self.build_progress >= 1.0

    def activate(self, audience_id: str, version: int) -> list[Transition]:
        """Swap an audience in, complete; its first members enter in one transition."""
        definition = self.definitions.get(audience_id)
        if definition is None or definition.state is State.ACTIVE or definition.version != version:
            return []
        entrants = self.engine.activate(audience_id, version)
        self.definitions[audience_id] = definition.activated(self.log_time_ms)
        return [
            Transition(
                audience_id,
                version,
                True,  # noqa: FBT003  entered; the fields are those of the record
                self.log_time_ms,
                Cause.DEFINITION,
                "",
                0,
                0,
                entrants.serialize(),
            )
        ]

    def extend_schema(self, extension: bytes) -> None:
        """Keep one more extension of the schema, as it stood in the log."""
        self.extensions.append(extension)

    def membership(self, audience_id: str, ordinal: int, profile_id: int) -> domain.Membership:
        """Return whether a person is in an audience; the audience is active."""
        member = self._is_member(audience_id, ordinal)
        change = self.records.get(audience_id, {}).get(ordinal)
        if member:
            change = self._why(audience_id, ordinal)
        return domain.Membership(audience_id, profile_id, member, change)

    def knows(self, ordinal: int) -> bool:
        """Tell whether a profile with this ordinal was ever given out: ordinals are dense."""
        return 0 < ordinal <= self.last_ordinal

    def current(self, ordinal: int) -> int:
        """Return the ordinal that a merged profile's ordinal leads to."""
        while ordinal in self.redirects:
            ordinal = self.redirects[ordinal]
        return ordinal

    def _active(self) -> list[str]:
        return [each for each, it in self.definitions.items() if it.state is State.ACTIVE]

    def _is_member(self, audience_id: str, ordinal: int) -> bool:
        definition = self.definitions[audience_id]
        return definition.state is State.ACTIVE and self.engine.is_member(audience_id, ordinal)

    def _keep(self, audience_id: str, ordinal: int, record: domain.Change) -> None:
        self.records.setdefault(audience_id, {})[ordinal] = record

    def _drop_records(self, ordinal: int) -> None:
        for records in self.records.values():
            records.pop(ordinal, None)
        self.sequences.pop(ordinal, None)

    def _why(self, audience_id: str, ordinal: int) -> domain.Change:
        """Return a member's record; who entered when the audience went live has none of its own."""
        record = self.records.get(audience_id, {}).get(ordinal)
        if record is not None:
            return record
        it = self.definitions[audience_id]
        return domain.entered(None, it.activate_ms, Cause.DEFINITION, "", it.version)

    def _record(self, flips: Sequence[Flip], cause: Cause, cause_id: str) -> list[Transition]:
        """Turn what the engine found into transitions, each with its number, and keep why."""
        return [self._transition(flip, cause, cause_id) for flip in flips]

    def _transition(self, flip: Flip, cause: Cause, cause_id: str) -> Transition:
        if flip.clock:
            cause, cause_id = Cause.CLOCK, ""
        audience_id, version, ordinal = flip.audience_id, flip.version, flip.ordinal
        if flip.entered:
            former = self.records.get(audience_id, {}).get(ordinal)
            record = domain.entered(former, flip.at_ms, cause, cause_id, version)
        else:
            former = self._why(audience_id, ordinal)
            record = domain.exited(former, flip.at_ms, cause, cause_id, version)
        self._keep(audience_id, ordinal, record)
        sequence = self.sequences[ordinal] = self.sequences.get(ordinal, 0) + 1
        return Transition(
            audience_id, version, flip.entered, flip.at_ms, cause, cause_id, ordinal, sequence
        )
