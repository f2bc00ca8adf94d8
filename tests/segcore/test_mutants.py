"""Engines with a mistake in them: the drawn histories have to find each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from drawn_simple import events
from drawn_values import NAMES
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from plays import Play
from world import World

from segcore.changes import Change, Merged
from segcore.engine import Engine
from segcore.history import Event, PropertyValue
from segcore.rule import (
    Aggregate,
    Attribute,
    Compare,
    Comparison,
    Expression,
    Fold,
    InAudience,
    Literal,
    Not,
    Rows,
    Scope,
)


class WindowTooLong(Engine):
    """A row stays a millisecond too long."""

    def add_audience(self, audience_id: str, version: int, rule: Expression) -> None:
        assert isinstance(rule, Aggregate)
        assert rule.rows.last_ms is not None
        longer = replace(rule.rows, last_ms=rule.rows.last_ms + 1)
        super().add_audience(audience_id, version, replace(rule, rows=longer))


class ForgottenTimer(Engine):
    """Time passes and nobody looks."""

    def advance(self, now_ms: int, inclusive: bool) -> list[Change]:  # noqa: FBT001
        super().advance(now_ms, inclusive)
        return []


class LateAsIfNow(Engine):
    """A late event is put at the end of its row of events instead of in its place."""

    def add_event(self, ordinal: int, event: Event) -> list[Change]:
        return super().add_event(ordinal, replace(event, occurred_ms=self.now_ms))


class MergedAway(Engine):
    """What the loser of a merge had is lost."""

    def merge(self, winner: int, loser: int) -> Merged:
        changes = self.ensure_profile(winner)
        self.erase(loser)
        return Merged(changes, ())


class DividedByNothing(Engine):
    """Nothing goes to the new half of a person."""

    def divide(self, ordinal: int, new_ordinal: int, _: Iterable[str]) -> list[Change]:
        return [*self.ensure_profile(ordinal), *self.ensure_profile(new_ordinal)]


class FirstOfEqual(Engine):
    """Of two values true from one instant on the one that came first stays."""

    __slots__ = ("seen",)

    def set_attributes(
        self,
        ordinal: int,
        values: Mapping[str, PropertyValue | None],
        as_of_ms: int,
        arrival: int = 0,
        came_with: str = "",
    ) -> list[Change]:
        if not hasattr(self, "seen"):
            self.seen = set[tuple[int, int]]()
        if (ordinal, as_of_ms) in self.seen:
            return self.ensure_profile(ordinal)
        self.seen.add((ordinal, as_of_ms))
        return super().set_attributes(ordinal, values, as_of_ms, arrival, came_with)


class SilentChild(Engine):
    """Of the audiences that move in one step only the first is told of."""

    def add_event(self, ordinal: int, event: Event) -> list[Change]:
        return super().add_event(ordinal, event)[:1]


lately = Aggregate(Rows(Scope.EVENT, ("view", "buy"), None, 10), Fold.EXISTS)


def _find(engine: type[Engine]) -> None:
    @settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
    @given(st.data())
    def run(data: st.DataObject) -> None:
        world = World()
        world.engine = engine()
        world.advance(50, inclusive=True)
        world.add("a", lately)
        world.activate("a")
        for _ in range(4):
            world.event(1, data.draw(events()))
            world.advance(data.draw(st.sampled_from((0, 1, 6, 10))), inclusive=True)

    run()


RULES: dict[str, Expression] = {
    "a": lately,
    "b": Not(InAudience("a")),
    **{
        name: Compare(Comparison.NE, Attribute(name, kind), Literal(None, None))
        for name, kind in NAMES.items()
    },
}
KINDS = ("event", "event", "attributes", "attributes", "advance", "merge", "divide")


def _find_in_plays(engine: type[Engine]) -> None:
    @settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
    @given(st.data())
    def run(data: st.DataObject) -> None:
        world = World()
        world.engine = engine()
        world.advance(50, inclusive=True)
        for name, rule in RULES.items():
            world.add(name, rule)
            world.activate(name)
        play = Play(world, data.draw, kinds=KINDS)
        for _ in range(8):
            play.step()

    run()


def test_the_engine_itself_passes() -> None:
    _find(Engine)
    _find_in_plays(Engine)


@pytest.mark.parametrize("mutant", [MergedAway, DividedByNothing, FirstOfEqual, SilentChild])
def test_a_mistake_with_people_is_found(mutant: type[Engine]) -> None:
    with pytest.raises(AssertionError):
        _find_in_plays(mutant)


@pytest.mark.parametrize("mutant", [WindowTooLong, ForgottenTimer, LateAsIfNow])
def test_a_mistake_is_found(mutant: type[Engine]) -> None:
    with pytest.raises(AssertionError):
        _find(mutant)
