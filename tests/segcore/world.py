"""An engine beside plain lists: every answer of the engine is held against the reference."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from batches import Given, columns_of, with_lines
from model import Members, Model, Person

from segcore._batch import Batch
from segcore.changes import Change, Merged
from segcore.engine import Engine
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.reference import nodes_of
from segcore.rule import All, Bucket, Expression, InAudience
from segcore.select import select

Told = tuple[int, int, str, bool]
"""A change as the reference sees it: when, who, which audience, whether they entered."""


def by_receipt(events: Iterable[Event]) -> list[Event]:
    """Return events in an order that takes nothing but themselves."""
    return sorted(events, key=lambda event: (event.received_ms, repr(event)))


class World:
    """One engine, the model of what it was given, and the checks of each step.

    With a `directory` the histories of the engine lie in files there.
    """

    def __init__(
        self, directory: Path | None = None, partition: int = 0, zone: str = "UTC"
    ) -> None:
        self.directory = directory
        self.copies = 0
        self.model = Model(partition, zone)
        files = None if directory is None else directory / "engine"
        self.engine = Engine(files, partition, zone)
        self.twin: Engine | None = None
        self.rules: dict[str, Expression] = {}
        self.versions: dict[str, int] = {}
        self.active: list[str] = []
        self.gone: set[int] = set()
        self.arrivals = 0
        self.now_ms = 0
        self.settled = False
        self.checks = 0

    @property
    def people(self) -> dict[int, Person]:
        return self.model.people

    @property
    def engines(self) -> list[Engine]:
        return [self.engine] if self.twin is None else [self.engine, self.twin]

    def active_rules(self) -> dict[str, Expression]:
        return {audience_id: self.rules[audience_id] for audience_id in self.active}

    def expected(self, now_ms: int | None = None, *, settled: bool | None = None) -> Members:
        """Return who is in which active audience, by the reference."""
        return self.model.members(
            self.active_rules(),
            self.now_ms if now_ms is None else now_ms,
            settled=self.settled if settled is None else settled,
        )

    def actual(self) -> Members:
        return {audience_id: set(self.engine.members(audience_id)) for audience_id in self.active}

    def event(self, ordinal: int, drawn: Event) -> list[Change]:
        """Give an event whose `occurred_ms` is how late it is."""
        return self.given(ordinal, self.real(drawn))

    def real(self, drawn: Event) -> Event:
        """Return a drawn event as one that comes in now; of two the later id may be less."""
        self.arrivals += 1
        return replace(
            drawn,
            event_id=f"e{self.arrivals * 7 % 11}-{self.arrivals}",
            occurred_ms=self.now_ms - drawn.occurred_ms,
            received_ms=self.now_ms,
        )

    def given(self, ordinal: int, event: Event) -> list[Change]:
        before = self.actual()
        self.people.setdefault(ordinal, Person()).events.append((self.arrivals, event))
        changes = [engine.add_event(ordinal, event) for engine in self.engines]
        return self.check_all(before, changes)

    def batch(self, drawn: Sequence[tuple[int, int, Event]]) -> None:
        """Give events at once, each so much later than the one before, as if one by one."""
        self.reload()
        held, sliced = self.engine, self.loaded()
        assert self.twin is not None
        self.engine, self.twin = self.twin, None
        rows: list[Given] = []
        wanted: list[tuple[Change, int]] = []
        for ordinal, step_ms, each in drawn:
            if step_ms:
                wanted += [(c, len(rows)) for c in self.advance(step_ms, inclusive=False)]
            event = with_lines(self.real(each))
            wanted += [(c, len(rows)) for c in self.given(ordinal, event)]
            rows.append((ordinal, event, self.now_ms))
        self.engine = held
        found = _applied(held, rows, len(rows))
        assert found == wanted
        assert _applied(sliced, rows, 1) == wanted
        assert sliced.state_hash() == held.state_hash()
        self.check(None, [])

    def attributes(
        self,
        ordinal: int,
        values: Mapping[str, PropertyValue | None],
        as_of_ms: int,
        came_with: str = "",
    ) -> None:
        before = self.actual()
        self.arrivals += 1
        change = AttributeChange(values, as_of_ms, came_with)
        self.people.setdefault(ordinal, Person()).attribute_changes.append((self.arrivals, change))
        changes = [
            engine.set_attributes(ordinal, values, as_of_ms, came_with=came_with)
            for engine in self.engines
        ]
        self.check_all(before, changes)

    def ensure(self, ordinal: int) -> None:
        before = self.actual()
        self.people.setdefault(ordinal, Person())
        self.check_all(before, [engine.ensure_profile(ordinal) for engine in self.engines])

    def merge(self, winner: int, loser: int) -> None:
        before = self.actual()
        absorbed = self.people.pop(loser, Person())
        self.people.setdefault(winner, Person()).take(absorbed)
        self.gone.add(loser)
        merged: list[Merged] = [engine.merge(winner, loser) for engine in self.engines]
        assert merged[0] == merged[-1]
        after = self.expected()
        assert set(merged[0].inherited) == {
            audience_id
            for audience_id in self.active
            if loser in before[audience_id] - after[audience_id]
            and winner in after[audience_id] - before[audience_id]
        }
        for audience_id in self.active:
            before[audience_id].discard(loser)
            if audience_id in merged[0].inherited:
                before[audience_id].add(winner)
        self.check(before, merged[0].changes)

    def divide(self, ordinal: int, new_ordinal: int, identifiers: Sequence[str]) -> None:
        """Part a person: each half is what it would have been, had it been two from the start."""
        before = self.actual()
        person = self.people.setdefault(ordinal, Person())
        self.people[new_ordinal] = person.divide(identifiers)
        self.check_all(
            before, [engine.divide(ordinal, new_ordinal, identifiers) for engine in self.engines]
        )
        for each in (ordinal, new_ordinal):
            events = self.engine.history(each).events
            assert by_receipt(events) == by_receipt(self.people[each].history().events)

    def erase(self, ordinal: int) -> None:
        before = self.actual()
        self.people.pop(ordinal, None)
        self.gone.add(ordinal)
        self.check_all(before, [engine.erase(ordinal) for engine in self.engines])
        assert self.engine.history(ordinal) == History()

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
        for engine in self.engines:
            engine.take_in(guest, departed)
        self.people[guest] = person
        if not self.draws_lots():
            self.check(None, [])
        return guest

    def draws_lots(self) -> bool:
        """Tell whether a rule asks for a bucket: a guest's is another than it was elsewhere."""
        nodes = (node for rule in self.rules.values() for node in nodes_of(rule))
        return any(isinstance(node, Bucket) for node in nodes)

    def advance(self, step_ms: int, *, inclusive: bool) -> list[Change]:
        """Let time pass; each change has to come at the instant at which the reference flips."""
        target_ms = self.now_ms + step_ms
        wanted = self._flips_until(target_ms if inclusive else target_ms - 1)
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
        return changes

    def _flips_until(self, last_ms: int) -> list[Told]:
        """Return who enters and leaves by time alone, by the reference."""
        wanted: list[Told] = []
        before = self.expected()
        rules = self.active_rules()
        for at_ms in self.model.instants(rules, self.now_ms, last_ms, settled=self.settled):
            after = self.expected(at_ms, settled=True)
            wanted += [
                (at_ms, ordinal, audience_id, ordinal in after[audience_id])
                for audience_id in self.active
                for ordinal in before[audience_id] ^ after[audience_id]
            ]
            before = after
        return wanted

    def add(self, audience_id: str, rule: Expression) -> None:
        self.rules[audience_id] = rule
        self.versions[audience_id] = self.versions.get(audience_id, 0) + 1
        for engine in self.engines:
            engine.add_audience(audience_id, self.versions[audience_id], rule)

    def refuse(self, rule: Expression) -> None:
        """Offer a rule that cannot be: nothing has changed then."""
        wrong = All((rule, InAudience("nobody")))
        for engine in self.engines:
            before = engine.state_hash()
            try:
                engine.add_audience("wrong", 1, wrong)
            except ValueError:
                assert engine.state_hash() == before
            else:
                raise AssertionError(f"expected a refusal of {wrong}")

    def build(self, max_rows: int) -> None:
        assert 0 <= self.engine.build(max_rows) <= 1

    def activate(self, audience_id: str) -> None:
        version = self.versions[audience_id]
        members = [engine.activate(audience_id, version) for engine in self.engines]
        assert members[0] == members[-1]
        self.active = [name for name in self.rules if name in {*self.active, audience_id}]
        assert set(members[0]) == self.expected()[audience_id]
        self.check(None, [])

    def is_used(self, audience_id: str) -> bool:
        """Tell whether another audience is built on this one."""
        nodes = (node for rule in self.rules.values() for node in nodes_of(rule))
        return any(
            isinstance(node, InAudience) and node.audience_id == audience_id for node in nodes
        )

    def remove(self, audience_id: str) -> None:
        for engine in self.engines:
            engine.remove_audience(audience_id)
        del self.rules[audience_id]
        if audience_id in self.active:
            self.active.remove(audience_id)
        self.check(None, [])

    def loaded(self) -> Engine:
        """Return an engine from a dump of this one, with files of its own."""
        place = (self.model.partition, self.model.zone)
        if self.directory is None:
            return Engine.load(self.engine.dump(), None, *place)
        self.copies += 1
        files = self.directory / f"copy-{self.copies}"
        shutil.copytree(self.directory / "engine", files)
        return Engine.load(self.engine.dump(), files, *place)

    def reload(self) -> None:
        """Load a twin from a dump: from here on it has to give the same answers."""
        self.twin = self.loaded()
        self.check(None, [])

    def crash(self, lost: Sequence[tuple[int, Event]]) -> None:
        """Lose what came after a dump, and go on from it in the same files."""
        dump, before = self.engine.dump(), self.engine.state_hash()
        for ordinal, event in lost:
            self.engine.add_event(ordinal, event)
        files = None if self.directory is None else self.directory / "engine"
        self.engine = Engine()  # The files are closed.
        self.engine = Engine.load(dump, files, self.model.partition, self.model.zone)
        assert self.engine.state_hash() == before
        self.check(None, [])

    def ask(self, rule: Expression, at_ms: int | None = None) -> None:
        """Ask for the members of an unsaved rule, now or at an instant before."""
        rules = {**self.active_rules(), "?": rule}
        as_of = at_ms is not None
        wanted = self.model.members(
            rules,
            self.now_ms if at_ms is None else at_ms,
            settled=self.settled or as_of,
            as_of=as_of,
        )
        before = self.engine.state_hash()
        assert set(select(self.engine, rule, at_ms)) == wanted["?"]
        assert self.engine.state_hash() == before
        for audience_id in self.active if as_of else ():
            assert set(select(self.engine, rules[audience_id], at_ms)) == wanted[audience_id]

    def check_all(self, before: Members, changes: Sequence[list[Change]]) -> list[Change]:
        assert changes[0] == changes[-1]
        self.check(before, changes[0])
        return changes[0]

    def check(self, before: Members | None, changes: list[Change]) -> None:
        """Members are those of the reference; changes are exactly what lies between."""
        after = self.expected()
        self.checks += sum(len(self.people) for _ in after)
        assert self.actual() == after
        assert self.engine.profile_count == len(self.people)
        if before is not None:
            order = {audience_id: rank for rank, audience_id in enumerate(self.active)}
            for _, own in groupby(changes, key=lambda change: change.ordinal):
                ranks = [order[change.audience_id] for change in own]
                assert ranks == sorted(set(ranks)), "each audience once, parents first"
            for change in changes:
                assert (change.at_ms, change.clock) == (self.now_ms, False)
                assert change.version == self.versions[change.audience_id]
                assert change.entered == (change.ordinal not in before[change.audience_id])
                before[change.audience_id] ^= {change.ordinal}
            assert before == after
        if self.twin is not None:
            assert self.twin.state_hash() == self.engine.state_hash()


def _applied(engine: Engine, rows: Sequence[Given], most: int) -> list[tuple[Change, int]]:
    """Apply rows as a batch, so many at a time; return the changes, each with its row."""
    batch = Batch.from_columns(engine.texts, columns_of(rows))
    found: list[tuple[Change, int]] = []
    audiences = engine.audiences()
    for first in range(0, len(rows), most):
        for flip in engine.apply(batch, first, min(len(rows), first + most)):
            audience = audiences[int(flip["rank"])]
            change = Change(
                audience.audience_id,
                audience.version,
                int(flip["ordinal"]),
                bool(flip["entered"]),
                int(flip["at_ms"]),
                bool(flip["clock"]),
            )
            found.append((change, int(flip["event"])))
    return found
