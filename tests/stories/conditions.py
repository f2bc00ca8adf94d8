"""Whether a condition holds at an instant, from everything that is known, each time anew."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stories.people import Happening, Instance, Person
from tests.stories.story import (
    Attr,
    Condition,
    Input,
    Joined,
    Member,
    Not,
    Rows,
    SoldOut,
    Story,
    TriggerTotal,
)


def windows(condition: Condition | None) -> Iterator[int]:
    if isinstance(condition, Rows) and condition.last_ms:
        yield condition.last_ms
    elif isinstance(condition, Not):
        yield from windows(condition.part)
    elif isinstance(condition, Joined):
        for part in condition.parts:
            yield from windows(part)


class Moment:
    """An instant. Before it is `settled` inputs may come, and what leaves now is still there."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.now = story.start_ms
        self.settled = True
        self.stock: dict[str, Input] = {each.sku: each for each in story.catalog}

    def holds(  # noqa: PLR0911  one for each kind
        self, rule: Condition | None, person: Person, of: Instance | None
    ) -> bool:
        if isinstance(rule, Not):
            return not self.holds(rule.part, person, of)
        if isinstance(rule, Joined):
            parts = [self.holds(part, person, of) for part in rule.parts]
            return all(parts) if rule.word == "&&" else any(parts)
        if isinstance(rule, Attr):
            return person.value(rule.name) == rule.value
        if isinstance(rule, Member):
            return self.holds(self.story.audiences[rule.audience], person, None)
        if isinstance(rule, SoldOut):
            assert of is not None
            stock = self.stock[of.key].stock
            return stock is not None and stock <= 0
        if isinstance(rule, TriggerTotal):
            assert of is not None
            assert of.trigger is not None
            return of.trigger.total is not None and of.trigger.total >= rule.least
        assert isinstance(rule, Rows)
        return sum(self._count(rule, each, of) for each in person.events) >= rule.least

    def _count(self, rows: Rows, event: Happening, of: Instance | None) -> int:
        if event.type != rows.kind or event.time_ms > self.now:
            return 0
        if rows.last_ms:
            start = self.now - rows.last_ms
            if event.time_ms < start or (event.time_ms == start and self.settled):
                return 0
        if rows.since:
            assert of is not None
            if of.trigger and event.id == of.trigger.id:
                return 0
            trigger_ms = of.trigger.time_ms if of.trigger else 0
            if event.time_ms < (trigger_ms if rows.since == "trigger" else of.entry_ms):
                return 0
        return len(self.matching(rows, event, of))

    @staticmethod
    def matching(rows: Rows, event: Happening, of: Instance | None) -> list[str]:
        """Return the SKU of each row that passes; an event as a row has none."""
        test, value = rows.where
        if not rows.items:
            same = of.trigger.total if of and of.trigger else None
            passes = {
                "": True,
                "total": event.total is not None and bool(value) and event.total >= int(value or 0),
                "same": event.total == same,
            }
            return [""] if passes[test] else []
        found = []
        for sku, category in event.rows:
            key = of.key if of else ""
            if {"": True, "sku": sku == value, "category": category == value, "key": sku == key}[
                test
            ]:
                found.append(sku)
        return found
