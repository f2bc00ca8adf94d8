"""Ad hoc selection beside the reference: the same members, profile by profile, now and before."""

from __future__ import annotations

import operator
from array import array
from dataclasses import replace

import pytest
from drawn import WINDOWS, Draw, attribute_values, events, rules
from drawn_simple import simple_rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from segcore.engine import Engine
from segcore.history import AttributeChange, Event, History
from segcore.reference import evaluate
from segcore.rule import (
    MICRO,
    Aggregate,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    FormText,
    InAudience,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    TestText,
    TextForm,
    TextTest,
)
from segcore.select import preview, sample_of, select, select_bits

ORDINALS = (1, 2, 63, 64, 130)
NOW_MS = 60

quick = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class People:
    """An engine, and what its profiles were given."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.events: dict[int, list[tuple[int, Event]]] = {}
        self.changes: dict[int, list[tuple[int, AttributeChange]]] = {}
        self.gone: set[int] = set()
        self.arrivals = 0

    def event(self, ordinal: int, drawn: Event) -> None:
        self.arrivals += 1
        event = replace(
            drawn,
            event_id=f"e{self.arrivals}",
            occurred_ms=self.engine.now_ms - drawn.occurred_ms,
            received_ms=self.engine.now_ms,
        )
        self.engine.add_event(ordinal, event)
        self.events.setdefault(ordinal, []).append((self.arrivals, event))
        self.changes.setdefault(ordinal, [])

    def attributes(self, ordinal: int, change: AttributeChange) -> None:
        self.arrivals += 1
        self.engine.set_attributes(ordinal, change.values, change.as_of_ms)
        self.changes.setdefault(ordinal, []).append((self.arrivals, change))
        self.events.setdefault(ordinal, [])

    def merge(self, winner: int, loser: int) -> None:
        self.engine.merge(winner, loser)
        self.events[winner] = self.events.get(winner, []) + self.events.pop(loser, [])
        self.changes[winner] = self.changes.get(winner, []) + self.changes.pop(loser, [])
        self.gone.add(loser)

    def forget(self, ordinal: int) -> None:
        self.engine.forget(ordinal)
        self.events.pop(ordinal, None)
        self.changes.pop(ordinal, None)
        self.gone.add(ordinal)

    def members(self, rule: Expression, at_ms: int | None) -> list[int]:
        """Return the members by the reference: what the tables are asked, plainly."""
        return [
            ordinal
            for ordinal in sorted(self.events)
            if evaluate(
                rule,
                self._history(ordinal, at_ms),
                self.engine.now_ms if at_ms is None else at_ms,
                lambda _: False,
                settled=self.engine.settled or at_ms is not None,
                profile_id=ordinal,
            )
        ]

    def _history(self, ordinal: int, at_ms: int | None) -> History:
        found = sorted(self.events[ordinal], key=lambda pair: pair[0])
        changes = sorted(self.changes[ordinal], key=lambda pair: pair[0])
        return History(
            tuple(event for _, event in found if at_ms is None or event.occurred_ms <= at_ms),
            tuple(change for _, change in changes if at_ms is None or change.as_of_ms <= at_ms),
        )


@st.composite
def peoples(draw: st.DrawFn) -> People:
    """Draw some people with late events, attributes out of order, merges and erasures."""
    people = People()
    people.engine.advance(draw(st.sampled_from((40, 50))), inclusive=True)
    steps = ("event",) * 5 + ("attributes",) * 3 + ("merge", "forget", "advance")
    for step in draw(st.lists(st.sampled_from(steps), min_size=4, max_size=16)):
        free = [ordinal for ordinal in ORDINALS if ordinal not in people.gone]
        ordinal = draw(st.sampled_from(free))
        match step:
            case "event":
                people.event(ordinal, draw(events()))
            case "attributes":
                as_of_ms = people.engine.now_ms - draw(st.sampled_from((0, 0, 5, 20)))
                people.attributes(ordinal, AttributeChange(draw(attribute_values), as_of_ms))
            case "merge" if len(free) > 3 and ordinal in people.events:
                people.merge(ordinal, draw(st.sampled_from([o for o in free if o != ordinal])))
            case "forget" if len(free) > 3 and ordinal in people.events:
                people.forget(ordinal)
            case "advance":
                step_ms = draw(st.sampled_from((0, 1, 4, 9)))
                people.engine.advance(people.engine.now_ms + step_ms, inclusive=draw(st.booleans()))
    return people


def check(people: People, rule: Expression, at_ms: int | None) -> None:
    assert list(select_bits(people.engine, rule, at_ms).ids()) == people.members(rule, at_ms)


def _instants() -> SearchStrategy[int | None]:
    return st.none() | st.sampled_from((20, 35, 39, 40, 41, 50))


@st.composite
def followed(draw: st.DrawFn) -> Expression:
    """Draw whether there are rows that plain rows follow, or do not: the path of its own."""
    drawn = Draw(draw, None)
    keyed = drawn.maybe()
    first, then = (
        replace(
            rows,
            calendar_days=None,
            key=replace(drawn, scope=rows.scope).field(Kind.TEXT) if keyed else None,
        )
        for rows in (drawn.rows(0), drawn.rows(0))
    )
    follow = Follow(then, drawn.pick(None, *WINDOWS), drawn.maybe())
    return Aggregate(replace(first, follows=(follow,)), Fold.EXISTS)


@quick
@given(peoples(), st.lists(st.tuples(simple_rules(), _instants()), min_size=5, max_size=8))
def test_plain_rules_select_whom_the_reference_does(
    people: People, asked: list[tuple[Expression, int | None]]
) -> None:
    for rule, at_ms in asked:
        check(people, rule, at_ms)


@quick
@given(
    peoples(),
    st.lists(st.tuples(rules(local_days=True), _instants()), min_size=5, max_size=8),
)
def test_all_rules_select_whom_the_reference_does(
    people: People, asked: list[tuple[Expression, int | None]]
) -> None:
    for rule, at_ms in asked:
        check(people, rule, at_ms)


@quick
@given(peoples(), st.lists(st.tuples(followed(), _instants()), min_size=5, max_size=8))
def test_rows_that_others_follow_or_do_not_select_whom_the_reference_does(
    people: People, asked: list[tuple[Expression, int | None]]
) -> None:
    for rule, at_ms in asked:
        check(people, rule, at_ms)


def _bought(ordinal: int, count: int, people: People) -> None:
    for number in range(count):
        event = Event(f"{ordinal}-{number}", "buy", 40, 40, "crm:1", {"n": float(number)}, ())
        people.engine.add_event(ordinal, event)


def _count_of(comparison: Comparison, count: int) -> Expression:
    rows = Rows(Scope.EVENT, ("buy",), last_ms=25)
    return Compare(comparison, Aggregate(rows, Fold.COUNT), Literal(count * MICRO, Kind.NUMBER))


@pytest.mark.parametrize("edge", [1, 2, 254, 255, 256, 300])
def test_counts_are_exact_at_the_edges_of_their_cells(edge: int) -> None:
    people = People()
    people.engine.advance(50, inclusive=True)
    counts = {1: edge - 1, 2: edge, 3: edge + 1, 64: 0}
    for ordinal, count in counts.items():
        people.engine.ensure_profile(ordinal)
        _bought(ordinal, count, people)
    compare = {
        Comparison.GE: operator.ge,
        Comparison.GT: operator.gt,
        Comparison.LE: operator.le,
        Comparison.LT: operator.lt,
        Comparison.EQ: operator.eq,
        Comparison.NE: operator.ne,
    }
    for comparison, holds in compare.items():
        expected = [ordinal for ordinal, count in counts.items() if holds(count, edge)]
        assert list(select(people.engine, _count_of(comparison, edge))) == expected


@pytest.mark.parametrize("comparison", Comparison)
@pytest.mark.parametrize("threshold", [(1 << 63) - 1, 1 - (1 << 63)])
def test_sums_are_compared_with_the_greatest_number_there_is(
    comparison: Comparison, threshold: int
) -> None:
    engine = Engine()
    engine.advance(10, inclusive=True)
    event = Event("e", "view", 1, 1, "crm:1", {"n": 1.0})
    engine.add_event(1, event)
    rows = Rows(Scope.EVENT, ("view",))
    total = Aggregate(rows, Fold.SUM, EventField("n", Kind.NUMBER))
    rule = Compare(comparison, total, Literal(threshold, Kind.NUMBER))
    holds = evaluate(rule, History((event,)), 10, lambda _: False, profile_id=1)
    assert list(select(engine, rule)) == ([1] if holds else [])


def test_rows_beyond_one_zone_count_and_zones_outside_the_window_do_not() -> None:
    people = People()
    people.engine.advance(41, inclusive=True)
    _bought(1, 4097, people)
    assert list(select(people.engine, _count_of(Comparison.EQ, 4097))) == [1]
    people.engine.advance(65, inclusive=True)
    people.engine.add_event(2, Event("late", "buy", 64, 65, "crm:1", {}, ()))
    assert list(select(people.engine, _count_of(Comparison.GE, 1))) == [2]
    assert list(select(people.engine, _count_of(Comparison.GE, 1), at_ms=41)) == [1]


def test_a_question_leaves_no_trace() -> None:
    people = People()
    people.engine.advance(50, inclusive=True)
    _bought(1, 1, people)
    before = people.engine.state_hash()
    rule = TestText(TextTest.CONTAINS, FormText(TextForm.UPPER, Attribute("t", Kind.TEXT)), "new")
    told: list[float] = []
    assert list(select(people.engine, Not(rule), progress=told.append)) == [1]
    assert told
    assert people.engine.state_hash() == before


def test_a_preview_says_how_many_are_in_other_audiences() -> None:
    people = People()
    people.engine.advance(50, inclusive=True)
    for ordinal in range(1, 200):
        _bought(ordinal, ordinal % 3, people)
        people.engine.ensure_profile(ordinal)
    people.engine.add_audience("one", 1, _count_of(Comparison.EQ, 1))
    people.engine.build(1_000_000)
    people.engine.activate("one", 1)
    shown = preview(people.engine, _count_of(Comparison.GE, 1), ["one"], sample_size=5)
    assert (shown.size, shown.overlaps) == (133, {"one": 67})
    assert len(set(shown.sample)) == 5
    assert shown == preview(people.engine, _count_of(Comparison.GE, 1), ["one"], sample_size=5)
    assert select(people.engine, InAudience("one")) == people.engine.members("one")
    with pytest.raises(KeyError):
        select(people.engine, InAudience("two"))


def test_a_sample_of_few_is_all_of_them() -> None:
    assert set(sample_of(array("I", (3, 9)), 5)) == {3, 9}
