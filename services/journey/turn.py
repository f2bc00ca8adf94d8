"""One step of one partition: what facts and transitions do to instances, input by input.

The order within an instant is that of the inputs, then what time changes, then waits that end; so a
purchase at the very instant in which a wait ends comes first.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyroaring import BitMap
from sqlalchemy import Connection

from coterie.log.v1 import facts_pb2, transitions_pb2
from services.journey import people, wire
from services.journey.attempts import Attempts
from services.journey.catalog import Catalog
from services.journey.conditions import Surroundings
from services.journey.definitions import Definitions
from services.journey.domain.instance import EndReason, Instance, Trigger
from services.journey.domain.walk import later_entered
from services.journey.memberships import Memberships
from services.journey.mover import Cause, Mover
from services.journey.working import Working
from services.kit.facts import FactRecord, body_numbers
from services.kit.ids import profile_id
from services.kit.log.port import Record
from services.kit.telemetry import Tracing

Transition = transitions_pb2.Transition
_index_of = operator.attrgetter("index")
_instant_of = operator.attrgetter("at_ms")

ACTED_ON = body_numbers(
    (
        "catalog_item",
        "profiles_merged",
        "profile_divided",
        "profile_erased",
        "message_outcome",
        "journey_publication",
        "journey_stop",
        "departure",
    )
)
"""The facts, beside events, of which each record must be read."""

STOP_PART = 1000
"""Instances that are read at a time when a journey is stopped with all that are on their way."""


@dataclass(slots=True)
class _Touched:
    """Whose instances to look at, in order, and who has entered which audience."""

    people: dict[int, None] = field(default_factory=dict)
    entered: dict[tuple[int, str], None] = field(default_factory=dict)
    triggers: list[tuple[int, Trigger]] = field(default_factory=list)
    skus: dict[str, None] = field(default_factory=dict)
    split_off: set[int] = field(default_factory=set)


class Turn:
    """Reads records in order; `write` puts what came of them into the tables."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a step stands on
        self,
        connection: Connection,
        partition: int,
        definitions: Definitions,
        departed: set[int],
        tracing: Tracing,
        until_ms: int,
    ) -> None:
        self._connection = connection
        self._partition = partition
        self._definitions = definitions
        self._departed = departed
        self._inbound_seq = 0
        self.working = Working(connection, partition, until_ms)
        self._memberships = Memberships(connection, partition)
        self._catalog = Catalog(connection, partition)
        around = Surroundings(
            self.working.events_of, self._memberships.contains, self._catalog.asked
        )
        self.mover = Mover(self.working, definitions, around, tracing)
        self._attempts = Attempts(self.working, definitions, self.mover)
        self._acts: Mapping[str, Callable[[facts_pb2.Fact, Cause, _Touched], None]] = {
            "event": self._event,
            "catalog_item": self._catalog_item,
            "profiles_merged": self._merge,
            "profile_divided": self._divide,
            "profile_erased": self._erase,
            "message_outcome": self._outcome,
            "journey_publication": self._publication,
            "journey_stop": self._stop,
            "departure": self._departure,
        }

    def read(self, record: Record, pack: FactRecord, transitions: Sequence[Transition]) -> None:
        """Apply what one record holds: facts, and the transitions that come from them."""
        self._inbound_seq = record.source
        if self._concerns_nobody(pack, transitions):
            self._take_memberships(transitions, _Touched())
            return
        facts = pack.facts
        by_index: dict[int, list[Transition]] = {}
        for transition in transitions:
            by_index.setdefault(transition.index, []).append(transition)
        if self._definitions.there:
            self.working.prefetch(self._whom(facts, transitions))
        for index, group in itertools.groupby(facts, _index_of):
            self._input(record.seq, index, list(group), by_index.get(index, []))
            self.working.bound()

    def write(self) -> None:
        """Write what has changed."""
        self.working.write()
        self._memberships.write()
        self._catalog.write()

    def _concerns_nobody(self, pack: FactRecord, transitions: Sequence[Transition]) -> bool:
        """Return whether no journey has a use for the record: its audiences alone are kept."""
        return not (
            self.working.anything_due
            or pack.may_hold(ACTED_ON, self._definitions.looked_for)
            or any(self._matters(each.audience_id) for each in transitions)
        )

    def _whom(
        self, facts: Sequence[facts_pb2.Fact], transitions: Sequence[Transition]
    ) -> list[int]:
        """Return the people whose instances this record is likely to look at."""
        definitions = self._definitions
        found = [each.profile_id for each in transitions if self._matters(each.audience_id)]
        found += [
            fact.profile_id
            for fact in facts
            if fact.HasField("event")
            and (
                fact.event.type in definitions.noted_types
                or fact.event.type in definitions.entered_by_type
            )
        ]
        return [each for each in found if each]

    def _input(
        self, seq: int, index: int, facts: Sequence[facts_pb2.Fact], transitions: list[Transition]
    ) -> None:
        log_time_ms = facts[0].log_time_ms
        cause = Cause(log_time_ms, seq, index)
        by_clock = [each for each in transitions if each.cause == transitions_pb2.CAUSE_CLOCK]
        by_clock.sort(key=_instant_of)
        for at_ms, group in itertools.groupby(by_clock, _instant_of):
            self._fire(at_ms, cause)
            touched = _Touched()
            self._take_memberships(list(group), touched)
            self._consequences(touched, replace(cause, now_ms=at_ms))
        tick = facts[0].HasField("tick")
        self._fire(log_time_ms + 1 if tick else log_time_ms, cause)
        touched = _Touched()
        for fact in facts:
            act = self._acts.get(fact.WhichOneof("body") or "")
            if act is not None:
                act(fact, replace(cause, traceparent=fact.traceparent), touched)
        others = [each for each in transitions if each.cause != transitions_pb2.CAUSE_CLOCK]
        self._take_memberships(others, touched)
        traceparent = next((fact.traceparent for fact in facts if fact.traceparent), "")
        cause = replace(cause, traceparent=traceparent, came_with=wire.source_of(facts))
        self._consequences(touched, cause)

    def _fire(self, before_ms: int, cause: Cause) -> None:
        """Do what is due before an instant, each at its own, in order."""
        while (instance := self.working.pop_due(before_ms)) is not None:
            now_ms = instance.next_ms
            if now_ms is None:
                raise RuntimeError("expected an instance that is due, found one that is not")
            self.mover.fire(instance, replace(cause, now_ms=now_ms))
            self.working.bound()

    def _take_memberships(self, transitions: Sequence[Transition], touched: _Touched) -> None:
        for each in transitions:
            if each.profile_id:
                self._take_one(each, touched)
            else:
                self._take_all(each, touched)

    def _take_one(self, each: Transition, touched: _Touched) -> None:
        entered = each.change == transitions_pb2.CHANGE_ENTERED
        self._memberships.put(each.audience_id, each.profile_id, member=entered)
        if self._matters(each.audience_id):
            touched.people[each.profile_id] = None
            # Who comes to be by an un-merge starts nothing: whatever is so of them was so before.
            if entered and each.profile_id not in touched.split_off:
                touched.entered[each.profile_id, each.audience_id] = None

    def _take_all(self, each: Transition, touched: _Touched) -> None:
        """Take in those whom a definition moves into an audience, or out of it."""
        ordinals = BitMap.deserialize(each.profile_ordinals)
        entered = each.change == transitions_pb2.CHANGE_ENTERED
        if entered:
            self._memberships.add_all(each.audience_id, ordinals)
        else:
            self._memberships.remove_all(each.audience_id, ordinals)
        if self._matters(each.audience_id):
            found = [profile_id(self._partition, ordinal) for ordinal in ordinals]
            self.working.prefetch(found)
            touched.people.update(dict.fromkeys(found))
            if entered:
                touched.entered.update(dict.fromkeys((each_, each.audience_id) for each_ in found))

    def _matters(self, audience_id: str) -> bool:
        """Return whether some journey enters by this audience, or asks for it."""
        definitions = self._definitions
        return (
            audience_id in definitions.entered_by_audience or audience_id in definitions.looked_at
        )

    def _consequences(self, touched: _Touched, cause: Cause) -> None:
        """Look at the instances of whom something has happened to, then try who may enter."""
        for person in touched.people:
            for instance in self.working.live_of(person):
                self.mover.look(instance, cause)
        for sku in touched.skus:
            for instance in self.working.live_of_key(sku):
                number = (instance.journey_id, instance.version)
                if number in self._definitions.catalog_journeys:
                    self.mover.look(instance, cause)
        for person, audience_id in touched.entered:
            member = self._memberships.contains(audience_id, person)
            if member and person not in self._departed:
                self._attempts.by_audience(person, audience_id, cause)
        for person, trigger in touched.triggers:
            self._attempts.by_event(person, trigger, cause)

    def _event(self, fact: facts_pb2.Fact, _cause: Cause, touched: _Touched) -> None:
        definitions, kind = self._definitions, fact.event.type
        noted = kind in definitions.noted_types
        enters = kind in definitions.entered_by_type
        if not fact.profile_id or not (noted or enters):
            return
        event = wire.event_of(fact, self._catalog.item)
        if noted:
            self.working.note(fact.profile_id, event)
            touched.people[fact.profile_id] = None
        if enters:
            original = fact.event.SerializeToString(deterministic=True)
            touched.triggers.append((fact.profile_id, Trigger(event, original)))

    def _catalog_item(self, fact: facts_pb2.Fact, _cause: Cause, touched: _Touched) -> None:
        self._catalog.put(fact.catalog_item)
        if self._definitions.catalog_journeys:
            touched.skus[fact.catalog_item.sku] = None

    def _merge(self, fact: facts_pb2.Fact, cause: Cause, touched: _Touched) -> None:
        winner, loser = fact.profile_id, fact.profiles_merged.merged_profile_id
        self._memberships.unite(winner, loser)
        self.working.unite(winner, loser)
        people.keep_redirect(self._connection, loser, winner)
        touched.people[winner] = None
        first: dict[tuple[str, str], Instance] = {}
        for instance in self.working.live_of(winner):
            if self._definitions.has_ended(instance.journey_id, instance.version):
                # Stopped while its person was between two partitions, where no stage saw it.
                self.mover.end(instance, EndReason.STOPPED, cause)
                continue
            place = (instance.journey_id, instance.key)
            other = first.setdefault(place, instance)
            if other is not instance:
                over = later_entered(instance, other)
                first[place] = other if over is instance else instance
                self.mover.end(over, EndReason.MERGED, cause)

    def _divide(self, fact: facts_pb2.Fact, _cause: Cause, touched: _Touched) -> None:
        """Let instances and events go with the identifiers that brought them."""
        former, created = fact.profile_id, fact.profile_divided.new_profile_id
        leaving = [wire.identifier_of(each) for each in fact.profile_divided.identities]
        self.working.divide(former, created, leaving)
        touched.people.update(dict.fromkeys((former, created)))
        touched.split_off.add(created)

    def _erase(self, fact: facts_pb2.Fact, cause: Cause, _touched: _Touched) -> None:
        """End what is live of the person, and keep of all instances only how they went."""
        for instance in self.working.live_of(fact.profile_id):
            self.mover.end(instance, EndReason.ERASED, cause)
        self.working.erase(fact.profile_id)

    def _outcome(self, fact: facts_pb2.Fact, cause: Cause, _touched: _Touched) -> None:
        instance = self.working.awaiting(fact.message_outcome.message_id)
        if instance is not None:
            self.mover.answer(instance, wire.outcome_of(fact.message_outcome), cause)

    def _publication(self, fact: facts_pb2.Fact, _cause: Cause, _touched: _Touched) -> None:
        self._definitions.publish(self._connection, fact, self._inbound_seq)

    def _stop(self, fact: facts_pb2.Fact, cause: Cause, _touched: _Touched) -> None:
        stop = fact.journey_stop
        self._definitions.stop(self._connection, stop.journey_id, end_instances=stop.end_instances)
        last = ""
        while stop.end_instances:
            part = self.working.live_of_journey(stop.journey_id, last, STOP_PART)
            for instance in part:
                self.mover.end(instance, EndReason.STOPPED, cause)
            if len(part) < STOP_PART:
                break
            last = part[-1].instance_id

    def _departure(self, fact: facts_pb2.Fact, _cause: Cause, _touched: _Touched) -> None:
        self.working.depart(fact.profile_id)
        people.keep_departure(
            self._connection, self._partition, fact.profile_id, fact.departure.merge_id
        )
        self._departed.add(fact.profile_id)
