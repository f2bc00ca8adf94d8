"""Questions that are answered as of when they were asked, while everything goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from drawn import tallies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plays import Play
from world import World

from segcore._selection import OutgrownError
from segcore.engine import Engine
from segcore.history import Event
from segcore.reference import evaluate
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    AnyOf,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    FormText,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    TextForm,
    Truth,
)
from segcore.select import select

KINDS = (
    *(("event",) * 5 + ("attributes",) * 3 + ("advance",) * 2 + ("batch", "merge", "merge")),
    *("divide", "travel", "erase", "ensure", "define", "build", "activate", "remove"),
)
slow = [HealthCheck.too_slow, HealthCheck.data_too_large]


class Asked(World):
    """A world in which somebody asks for the members of unsaved rules."""

    def members_of(self, rule: Expression, at_ms: int | None) -> set[int]:
        """Return the members of an unsaved rule by the reference, now or at an instant before."""
        as_of = at_ms is not None
        return self.model.members(
            {**self.active_rules(), "?": rule},
            self.now_ms if at_ms is None else at_ms,
            settled=self.settled or as_of,
            as_of=as_of,
        )["?"]


def _play(play: Play, step_count: int) -> None:
    world = play.world
    assert isinstance(world, Asked)
    play.begin()
    for _ in range(step_count):
        play.step()
    world.reload()
    rule = play.rule(*world.active)
    at_ms = world.now_ms - play.pick(0, 1, 4, 10, 30) if play.pick(0, 1) else None
    wanted = world.members_of(rule, at_ms)
    engine = world.engine
    question = engine.ask(rule, at_ms, blocks=1)
    rests = 0

    def rest(work: Callable[[], Any] | None) -> Any:
        nonlocal rests
        rests += 1
        if rests <= 5:
            play.step()
        return None if work is None else work()

    assert set(question.answer(rest).ids()) == wanted
    engine.close(question)
    assert not engine.open
    world.check(None, [])


@settings(max_examples=250, deadline=None, suppress_health_check=slow)
@given(st.data(), st.integers(2, 9))
def test_an_answer_is_that_of_the_instant_of_the_question(
    data: st.DataObject, step_count: int
) -> None:
    """A twin that is asked nothing has the same state after every step: no trace is left."""
    _play(Play(Asked(partition=3), data.draw, kinds=KINDS), step_count)


@settings(max_examples=60, deadline=None, suppress_health_check=slow)
@given(st.data(), st.integers(2, 7))
def test_so_it_is_with_local_days(data: st.DataObject, step_count: int) -> None:
    _play(Play(Asked(zone="Europe/Paris"), data.draw, of_days=True, kinds=KINDS), step_count)


VIEW = Rows(Scope.EVENT, ("view",))
SHADE = Rows(
    Scope.EVENT,
    ("view",),
    where=Compare(
        Comparison.EQ,
        FormText(TextForm.LOWER, EventField("shade", Kind.TEXT)),
        Literal("teal", Kind.TEXT),
    ),
)
FOLLOWED = Rows(Scope.EVENT, ("view",), follows=(Follow(VIEW, 5, absent=False),))


def at_least(count: int, rows: Rows, operand: Expression | None = None) -> Compare:
    fold = Fold.COUNT if operand is None else Fold.SUM
    return Compare(
        Comparison.GE, Aggregate(rows, fold, operand), Literal(count * MICRO, Kind.NUMBER)
    )


RULES = (
    at_least(3, VIEW),
    at_least(2, SHADE),
    at_least(40, VIEW, EventField("n", Kind.NUMBER)),
    Aggregate(FOLLOWED, Fold.EXISTS),
    Compare(
        Comparison.GE,
        Aggregate(VIEW, Fold.MAX, EventField("n", Kind.NUMBER)),
        Literal(38 * MICRO, Kind.NUMBER),
    ),
    AnyOf(
        (
            Not(at_least(4, VIEW)),
            All(
                (
                    at_least(2, SHADE),
                    Compare(
                        Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT)
                    ),
                )
            ),
        )
    ),
)
TIERED = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))
PEOPLE, EVENTS = 3_000, 13_000


def large() -> Engine:
    """Return an engine whose history is several slices long."""
    engine = Engine()
    engine.advance(100_000, inclusive=True)
    for place in range(EVENTS):
        engine.add_event(_who(place), _event(place))
    for ordinal in range(1, PEOPLE, 7):
        engine.set_attributes(ordinal, {"tier": "gold" if ordinal % 2 else "tin"}, 0)
    return engine


def _who(place: int) -> int:
    return 1 + place * place * 31 % PEOPLE


def _event(place: int) -> Event:
    shade = ("Teal", "TEAL", "red", "teal?")[place % 4]
    return Event(
        f"e{place}", "view", place * 3, 100_000, "x", {"n": float(place % 41), "shade": shade}
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("at_ms", [None, 30_000])
def test_long_histories_are_read_in_slices(rule: Expression, at_ms: int | None) -> None:
    """In each rest people change who were met already, and who were not; texts come too."""
    engine = large()
    now_ms = engine.now_ms if at_ms is None else at_ms
    known = {_who(place) for place in range(EVENTS)} | set(range(1, PEOPLE, 7))
    histories = {each: engine.history(each) for each in known}
    wanted = {
        each
        for each, history in histories.items()
        if evaluate(rule, _until(history, now_ms), now_ms, lambda _: False, profile_id=each)
    }
    question = engine.ask(rule, at_ms, blocks=1)
    rests: list[int] = []

    def rest(work: Callable[[], Any] | None) -> Any:
        for k in range(20):
            ordinal = 1 + (len(rests) * 977 + k * 131) % (PEOPLE + 50)
            for copy in range(4):
                engine.add_event(
                    ordinal,
                    Event(
                        f"n{len(rests)}-{k}-{copy}",
                        "view",
                        99_000 + copy,
                        100_000,
                        "teal",
                        {"n": 40.0, "shade": f"Teal{k}" if k % 2 else "teal"},
                    ),
                )
            engine.set_attributes(ordinal + 1, {"tier": f"gold{k}" if k % 3 else "gold"}, 1)
        rests.append(1)
        return None if work is None else work()

    assert set(question.answer(rest).ids()) == wanted
    assert len(rests) >= 3


def _until(history: Any, at_ms: int) -> Any:
    events = tuple(each for each in history.events if each.occurred_ms <= at_ms)
    return type(history)(events, history.attribute_changes)


def test_more_people_than_there_is_room_for_end_the_question() -> None:
    engine = Engine()
    engine.advance(100_000, inclusive=True)
    engine.add_event(1, _event(0))
    question = engine.ask(at_least(1, VIEW))

    def rest(work: Callable[[], Any] | None) -> Any:
        engine.ensure_profile(2_000_000)
        return None if work is None else work()

    with pytest.raises(OutgrownError):
        question.answer(rest)


def test_attributes_that_are_forgotten_end_the_question_and_stay_forgotten() -> None:
    engine = Engine()
    engine.advance(100_000, inclusive=True)
    for ordinal in range(1, 300):
        engine.set_attributes(ordinal, {"tier": "gold", "audience/vip/1": True}, 0)
    engine.merge(7, 8)
    question = engine.ask(at_least(1, VIEW))

    def rest(work: Callable[[], Any] | None) -> Any:
        engine.forget_attributes(["audience/vip/1", "audience/vip/unknown"])
        return None if work is None else work()

    with pytest.raises(OutgrownError):
        question.answer(rest)
    engine.close(question)
    loaded = Engine.load(engine.dump())
    for each in (engine, loaded):
        assert [dict(one.values) for one in each.history(7).attribute_changes] == [{"tier": "gold"}]
        assert not select(each, Truth(Attribute("audience/vip/1", Kind.FLAG)))
        assert len(select(each, TIERED)) == 298
    assert loaded.state_hash() == engine.state_hash()
    for each in (engine, loaded):
        each.set_attributes(9, {"audience/vip/1": True}, 1)
        assert list(select(each, Truth(Attribute("audience/vip/1", Kind.FLAG)))) == [9]
    assert loaded.state_hash() == engine.state_hash()


@settings(max_examples=40, deadline=None, suppress_health_check=slow)
@given(st.data())
def test_a_question_that_is_given_up_leaves_no_trace(data: st.DataObject) -> None:
    engine = Engine()
    engine.advance(50, inclusive=True)
    rule = All((data.draw(tallies()), at_least(2, SHADE)))
    before = engine.state_hash()

    def rest(work: Callable[[], Any] | None) -> Any:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.ask(rule).answer(rest)
    assert engine.state_hash() == before
