"""Engines with a mistake in them: the drawn histories have to find each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn_simple import events
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from world import World

from segcore.changes import Change
from segcore.engine import Engine
from segcore.history import Event
from segcore.rule import Aggregate, Expression, Fold, Rows, Scope


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


def test_the_engine_itself_passes() -> None:
    _find(Engine)


@pytest.mark.parametrize("mutant", [WindowTooLong, ForgottenTimer, LateAsIfNow])
def test_a_mistake_is_found(mutant: type[Engine]) -> None:
    with pytest.raises(AssertionError):
        _find(mutant)
