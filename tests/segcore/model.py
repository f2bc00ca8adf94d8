"""What an engine was given, as plain lists, and who is in which audience by the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from segcore.history import AttributeChange, Event, History
from segcore.reference import evaluate, next_change_ms
from segcore.rule import Expression

Members = dict[str, set[int]]
Rules = Mapping[str, Expression]
"""Audiences in their order, parents first."""

SHORT_MS = 64
"""Up to here each millisecond is looked at; beyond, the instants at which the reference moves."""


@dataclass
class Person:
    """What one profile was given, each with the number of its arrival."""

    events: list[tuple[int, Event]] = field(default_factory=list)
    attribute_changes: list[tuple[int, AttributeChange]] = field(default_factory=list)

    def history(self, until_ms: int | None = None) -> History:
        """Return all, or what happened, and was so, at an instant or before."""
        events = sorted(self.events, key=lambda pair: pair[0])
        changes = sorted(self.attribute_changes, key=lambda pair: pair[0])
        return History(
            tuple(e for _, e in events if until_ms is None or e.occurred_ms <= until_ms),
            tuple(c for _, c in changes if until_ms is None or c.as_of_ms <= until_ms),
        )

    def take(self, other: Person) -> None:
        """Have all that another one had."""
        self.events += other.events
        self.attribute_changes += other.attribute_changes

    def divide(self, identifiers: Iterable[str]) -> Person:
        """Give up what came with some identifiers; return who has it."""
        wanted = frozenset(identifiers)
        other = Person(
            [pair for pair in self.events if pair[1].came_with in wanted],
            [pair for pair in self.attribute_changes if pair[1].came_with in wanted],
        )
        self.events = [pair for pair in self.events if pair not in other.events]
        self.attribute_changes = [
            pair for pair in self.attribute_changes if pair not in other.attribute_changes
        ]
        return other


@dataclass
class Model:
    """All people, and what the reference says of them."""

    partition: int = 0
    zone: str = "UTC"
    people: dict[int, Person] = field(default_factory=dict)

    def members(self, rules: Rules, now_ms: int, *, settled: bool, as_of: bool = False) -> Members:
        """Return who is in which audience, of those who are known now."""
        members: Members = {audience_id: set() for audience_id in rules}
        for ordinal, person in self.people.items():
            history = person.history(now_ms if as_of else None)
            for audience_id, rule in rules.items():
                holds = evaluate(
                    rule,
                    history,
                    now_ms,
                    lambda parent, ordinal=ordinal: ordinal in members[parent],  # type: ignore[misc]
                    settled=settled,
                    profile_id=self.partition << 32 | ordinal,
                    zone=self.zone,
                )
                assert isinstance(holds, bool)
                if holds:
                    members[audience_id].add(ordinal)
        return members

    def instants(self, rules: Rules, now_ms: int, last_ms: int, *, settled: bool) -> list[int]:
        """Return instants up to the last among which are all at which time changes members."""
        first_ms = now_ms + 1 if settled else now_ms
        if last_ms - first_ms <= SHORT_MS:
            return list(range(first_ms, last_ms + 1))
        found = set[int]()
        for ordinal, person in self.people.items():
            for rule in rules.values():
                found.update(self._changes(rules, rule, ordinal, person, now_ms, last_ms, settled))
        return sorted(found)

    def _changes(  # noqa: PLR0913, PLR0917
        self,
        rules: Rules,
        rule: Expression,
        ordinal: int,
        person: Person,
        now_ms: int,
        last_ms: int,
        settled: bool,  # noqa: FBT001
    ) -> Iterable[int]:
        history = person.history()
        at_ms: int | None = now_ms
        while at_ms is not None:
            at_ms = next_change_ms(
                rule,
                history,
                at_ms,
                lambda _: False,
                settled=settled,
                rules=rules,
                profile_id=self.partition << 32 | ordinal,
                zone=self.zone,
            )
            settled = True
            if at_ms is None or at_ms > last_ms:
                return
            yield at_ms
