"""An engine beside plain lists: every answer of the engine is held against the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from segcore.changes import Change, Merged
from segcore.engine import Engine
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.reference import evaluate, nodes_of
from segcore.rule import Bucket, Expression

Members = dict[str, set[int]]


@dataclass
class Person:
    """What one profile was given, each with the number of its arrival."""

    events: list[tuple[int, Event]] = field(default_factory=list)
    attribute_changes: list[tuple[int, AttributeChange]] = field(default_factory=list)

    def history(self) -> History:
        events = sorted(self.events, key=lambda pair: pair[0])
        changes = sorted(self.attribute_changes, key=lambda pair: pair[0])
        return History(tuple(e for _, e in events), tuple(c for _, c in changes))


def by_receipt(events: Iterable[Event]) -> list[Event]:
    """Return events in an order that takes nothing but themselves."""
    return sorted(events, key=lambda event: (event.received_ms, repr(event)))


class World:
    """One engine, the model of what it was given, and the checks of each step."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.twin: Engine | None = None
        self.rules: dict[str, Expression] = {}
        self.active: list[str] = []
        self.people: dict[int, Person] = {}
        self.gone: set[int] = set()
        self.arrivals = 0
        self.now_ms = 0
        self.settled = False

    def expected(self, now_ms: int | None = None, *, settled: bool | None = None) -> Members:
        """Return who is in which active audience, by the reference."""
        at_ms = self.now_ms if now_ms is None else now_ms
        phase = self.settled if settled is None else settled
        members: Members = {audience_id: set() for audience_id in self.active}
        for ordinal, person in self.people.items():
            history = person.history()
            for audience_id in self.active:
                holds = evaluate(
                    self.rules[audience_id],
                    history,
                    at_ms,
                    lambda parent, ordinal=ordinal: ordinal in members[parent],  # type: ignore[misc]
                    settled=phase,
                    profile_id=ordinal,
                )
                assert isinstance(holds, bool)
                if holds:
                    members[audience_id].add(ordinal)
        return members

    def actual(self) -> Members:
        return {audience_id: set(self.engine.members(audience_id)) for audience_id in self.active}

    def event(self, ordinal: int, drawn: Event) -> None:
        before = self.actual()
        self.arrivals += 1
        event = replace(
            drawn,
            event_id=f"e{self.arrivals}",
            occurred_ms=self.now_ms - drawn.occurred_ms,
            received_ms=self.now_ms,
        )
        self.people.setdefault(ordinal, Person()).events.append((self.arrivals, event))
        changes = self.engine.add_event(ordinal, event)
        if self.twin is not None:
            assert self.twin.add_event(ordinal, event) == changes
        self.check(before, changes)

    def attributes(
        self, ordinal: int, values: Mapping[str, PropertyValue | None], as_of_ms: int
    ) -> None:
        before = self.actual()
        self.arrivals += 1
        change = AttributeChange(values, as_of_ms)
        self.people.setdefault(ordinal, Person()).attribute_changes.append((self.arrivals, change))
        changes = self.engine.set_attributes(ordinal, values, as_of_ms)
        if self.twin is not None:
            assert self.twin.set_attributes(ordinal, values, as_of_ms) == changes
        self.check(before, changes)

    def ensure(self, ordinal: int) -> None:
        before = self.actual()
        self.people.setdefault(ordinal, Person())
        changes = self.engine.ensure_profile(ordinal)
        if self.twin is not None:
            assert self.twin.ensure_profile(ordinal) == changes
        self.check(before, changes)

    def merge(self, winner: int, loser: int) -> None:
        before = self.actual()
        absorbed = self.people.pop(loser, Person())
        kept = self.people.setdefault(winner, Person())
        kept.events += absorbed.events
        kept.attribute_changes += absorbed.attribute_changes
        self.gone.add(loser)
        merged: Merged = self.engine.merge(winner, loser)
        if self.twin is not None:
            assert self.twin.merge(winner, loser) == merged
        after = self.expected()
        assert set(merged.inherited) == {
            audience_id
            for audience_id in self.active
            if loser in before[audience_id] - after[audience_id]
            and winner in after[audience_id] - before[audience_id]
        }
        for audience_id in self.active:
            before[audience_id].discard(loser)
            if audience_id in merged.inherited:
                before[audience_id].add(winner)
        self.check(before, merged.changes)

    def travel(self, ordinal: int) -> int:
        """Let a profile go and take it in under a new number, as another partition would."""
        guest = 1_000 + len(self.gone)
        if ordinal not in self.people:
            self.ensure(ordinal)
        person = self.people.pop(ordinal)
        members = self.actual()
        departed = self.engine.forget(ordinal)
        self.gone.add(ordinal)
        # Of two halves of a person it is known when each event was received, and no more.
        assert by_receipt(departed.events) == by_receipt(person.history().events)
        assert set(departed.audiences) == {one for one in self.active if ordinal in members[one]}
        assert self.engine.history(ordinal) == History()
        if self.twin is not None:
            assert self.twin.forget(ordinal) == departed
        self.check(None, [])
        self.engine.take_in(guest, departed)
        if self.twin is not None:
            self.twin.take_in(guest, departed)
        self.people[guest] = person
        if not self.draws_lots():
            self.check(None, [])
        return guest

    def draws_lots(self) -> bool:
        """Tell whether a rule asks for a bucket: a guest's is another than it was elsewhere."""
        nodes = (node for rule in self.rules.values() for node in nodes_of(rule))
        return any(isinstance(node, Bucket) for node in nodes)

    def advance(self, step_ms: int, *, inclusive: bool) -> None:
        """Let time pass; each change has to come at the instant at which the reference flips."""
        target_ms = self.now_ms + step_ms
        last_ms = target_ms if inclusive else target_ms - 1
        wanted = []
        before = self.expected()
        start_ms = self.now_ms + 1 if self.settled else self.now_ms
        for instant_ms in range(start_ms, last_ms + 1):
            after = self.expected(instant_ms, settled=True)
            wanted += [
                (instant_ms, ordinal, audience_id, ordinal in after[audience_id])
                for audience_id in self.active
                for ordinal in before[audience_id] ^ after[audience_id]
            ]
            before = after
        due_ms = self.engine.next_due_ms()
        changes = self.engine.advance(target_ms, inclusive)
        if self.twin is not None:
            assert self.twin.advance(target_ms, inclusive) == changes
        found = [(c.at_ms, c.ordinal, c.audience_id, c.entered) for c in changes]
        order = {audience_id: rank for rank, audience_id in enumerate(self.active)}
        assert found == sorted(wanted, key=lambda c: (c[0], c[1], order[c[2]]))
        assert all(change.clock for change in changes)
        assert not changes or (due_ms is not None and due_ms <= changes[0].at_ms)
        self.settled = inclusive or (self.settled and step_ms == 0)
        self.now_ms = target_ms
        assert (self.engine.now_ms, self.engine.settled) == (self.now_ms, self.settled)
        self.check(None, [])

    def add(self, audience_id: str, rule: Expression) -> None:
        self.rules[audience_id] = rule
        self.engine.add_audience(audience_id, 1, rule)
        if self.twin is not None:
            self.twin.add_audience(audience_id, 1, rule)

    def build(self, max_rows: int) -> None:
        assert 0 <= self.engine.build(max_rows) <= 1

    def activate(self, audience_id: str) -> None:
        members = self.engine.activate(audience_id, 1)
        if self.twin is not None:
            assert self.twin.activate(audience_id, 1) == members
        self.active.append(audience_id)
        assert set(members) == self.expected()[audience_id]
        self.check(None, [])

    def reload(self) -> None:
        """Load a twin from a dump: from here on it has to give the same answers."""
        self.twin = Engine.load(self.engine.dump())
        self.check(None, [])

    def check(self, before: Members | None, changes: list[Change]) -> None:
        """Members are those of the reference; changes are exactly what lies between."""
        after = self.expected()
        assert self.actual() == after
        assert self.engine.profile_count == len(self.people)
        if before is not None:
            order = {audience_id: rank for rank, audience_id in enumerate(self.active)}
            ranks = [order[change.audience_id] for change in changes]
            assert ranks == sorted(set(ranks)), "each audience once, parents first"
            for change in changes:
                assert (change.at_ms, change.clock) == (self.now_ms, False)
                assert change.entered == (change.ordinal not in before[change.audience_id])
                before[change.audience_id] ^= {change.ordinal}
            assert before == after
        if self.twin is not None:
            assert self.twin.state_hash() == self.engine.state_hash()
