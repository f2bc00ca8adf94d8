"""The engine at edges of time: instants, days, years, ties and ages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from test_engine import at_least, bought, number, purchase, told
from world import World

from segcore.calendar import DAY_MS
from segcore.engine import Engine
from segcore.history import Event
from segcore.rule import (
    Age,
    Aggregate,
    All,
    Anniversary,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    InAudience,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)

NOW = 1_000
WINDOW = 100
HOUR_MS = 3_600_000
lately = Rows(Scope.EVENT, ("purchase",), None, WINDOW)
counted = Aggregate(lately, Fold.COUNT)
never_viewed = Not(Aggregate(Rows(Scope.EVENT, ("view",)), Fold.EXISTS))


def at(text: str) -> int:
    """Return an instant of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def engine_at(now_ms: int, zone: str = "UTC", **rules: Expression) -> Engine:
    engine = Engine(zone=zone)
    engine.advance(now_ms, inclusive=True)
    for audience_id, rule in rules.items():
        engine.add_audience(audience_id, 1, rule)
        engine.activate(audience_id, 1)
    return engine


def test_timers_of_one_instant_ring_by_profile_and_each_audience_moves_once() -> None:
    other = Aggregate(Rows(Scope.EVENT, ("purchase",), None, WINDOW // 2), Fold.EXISTS)
    since = Compare(
        Comparison.GE,
        Age(Aggregate(Rows(Scope.EVENT, ("purchase",)), Fold.LATEST)),
        Literal(WINDOW, Kind.SPAN),
    )
    engine = engine_at(
        NOW,
        a=at_least(counted, 1),
        b=All((bought, Not(at_least(counted, 1)))),
        c=since,
        d=Compare(Comparison.EQ, InAudience("b"), InAudience("c")),
        e=other,
    )
    for ordinal in (9, 2, 5):
        engine.add_event(ordinal, purchase(NOW, f"e{ordinal}"))
        engine.add_event(ordinal, purchase(NOW - WINDOW // 2, f"f{ordinal}"))
    assert told(engine.advance(NOW + 10 * WINDOW, inclusive=True)) == [
        *[("e", ordinal, False, NOW + WINDOW // 2) for ordinal in (2, 5, 9)],
        *[
            (name, ordinal, entered, NOW + WINDOW)
            for ordinal in (2, 5, 9)
            for name, entered in (("a", False), ("b", True), ("c", True))
        ],
    ]


def test_whoever_is_born_is_at_once_in_all_that_asks_nothing_of_them() -> None:
    started = Literal(NOW, Kind.TIME)
    old = Compare(Comparison.GE, Age(started), Literal(DAY_MS, Kind.SPAN))
    rules = {
        "never": never_viewed,
        "child": Not(InAudience("never")),
        "grandchild": Not(InAudience("child")),
        "young": Not(old),
        "old": old,
        "nameless": Compare(Comparison.EQ, Attribute("name", Kind.TEXT), Literal(None, None)),
    }
    engine = engine_at(NOW, **rules)
    born = {"never", "grandchild", "young", "nameless"}
    assert {c.audience_id for c in engine.ensure_profile(3)} == born
    assert {c.audience_id for c in Engine.load(engine.dump()).ensure_profile(4)} == born
    assert told(engine.advance(NOW + 2 * DAY_MS, inclusive=True)) == [
        ("young", 3, False, NOW + DAY_MS),
        ("old", 3, True, NOW + DAY_MS),
    ]
    assert {c.audience_id for c in engine.ensure_profile(5)} == born - {"young"} | {"old"}
    later = Engine.load(engine.dump())
    assert {c.audience_id for c in later.ensure_profile(6)} == born - {"young"} | {"old"}


def test_years_pass_in_one_step_each_change_at_its_own_instant() -> None:
    birthday = Anniversary(Attribute("birth", Kind.DATE))
    world = World(zone="Europe/Paris")
    world.advance(at("2023-12-31T23:30:00"), inclusive=True)
    week = Aggregate(Rows(Scope.EVENT, ("purchase",), calendar_days=7), Fold.EXISTS)
    for name, rule in (("birthday", birthday), ("week", week), ("not", Not(InAudience("week")))):
        world.add(name, rule)
        world.activate(name)
    world.attributes(1, {"birth": date(2000, 2, 29)}, NOW)
    world.attributes(2, {"birth": date(1990, 10, 27), "zone": "America/New_York"}, NOW)
    world.given(2, purchase(world.now_ms - HOUR_MS, "a"))
    changes = world.advance(5 * 366 * DAY_MS, inclusive=True)
    days = [c.at_ms for c in changes if (c.audience_id, c.ordinal) == ("birthday", 1) and c.entered]
    assert days == [
        at(f"{year}-02-{27 if year % 4 else 28}T23:00:00") for year in range(2024, 2029)
    ]
    ends = [c.at_ms for c in changes if (c.audience_id, c.ordinal) == ("birthday", 2)]
    assert ends[:2] == [at("2024-10-27T04:00:00"), at("2024-10-28T04:00:00")]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Paris", "2024-03-30T23:00:00", 23),
        ("Europe/Paris", "2024-10-26T22:00:00", 25),
        ("America/New_York", "2024-03-10T05:00:00", 23),
        ("America/New_York", "2024-11-03T04:00:00", 25),
        ("UTC", "2024-02-29T00:00:00", 24),
    ],
)
def test_a_local_day_is_as_long_as_it_is(zone: str, day: str, hours: int) -> None:
    """Rows around the first instant of a day leave when the day does, or the day before it."""
    world = World(zone=zone)
    today = Aggregate(Rows(Scope.EVENT, ("purchase",), calendar_days=1), Fold.COUNT)
    first_ms = at(day)
    world.advance(first_ms - 1, inclusive=True)
    for limit in (1, 2, 3):
        world.add(f"a{limit}", at_least(today, limit))
        world.activate(f"a{limit}")
    world.given(1, purchase(first_ms - 1, "before"))
    assert world.actual()["a1"] == {1}
    world.advance(1, inclusive=True)
    assert world.actual()["a1"] == set()
    for place, shift in enumerate((0, 0, 1)):
        world.given(1, purchase(first_ms, f"e{place}"))
        world.advance(shift, inclusive=True)
    changes = world.advance(30 * HOUR_MS, inclusive=True)
    assert {c.at_ms for c in changes} == {first_ms + hours * HOUR_MS}
    assert len(changes) == 3


def test_a_tie_proves_neither_a_sequence_nor_an_absence() -> None:
    then = Rows(Scope.EVENT, ("view",))
    rules: dict[str, Expression] = {
        name: Aggregate(
            Rows(Scope.EVENT, ("purchase",), follows=(Follow(then, 10, absent),)), Fold.EXISTS
        )
        for name, absent in (("followed", False), ("not followed", True))
    }
    world = World()
    world.advance(NOW, inclusive=True)
    for name, rule in rules.items():
        world.add(name, rule)
        world.activate(name)
    for ordinal, shifts in enumerate(((0,), (1,), (10,), (11,), (0, 10), (-1,)), start=1):
        world.given(ordinal, purchase(NOW - 20, f"a{ordinal}"))
        for shift in shifts:
            event = Event(f"b{ordinal}{shift}", "view", NOW - 20 + shift, NOW, "crm:1", {})
            world.given(ordinal, event)
    assert world.actual() == {"followed": {2, 3, 5}, "not followed": {4, 6}}


def test_of_rows_at_one_instant_the_later_received_then_the_greater_id_is_the_latest() -> None:
    rows = Rows(Scope.EVENT, ("purchase",))
    total = EventField("total", Kind.NUMBER)
    world = World()
    world.advance(NOW, inclusive=True)
    for fold in (Fold.LATEST, Fold.EARLIEST):
        for value in (1.0, 2.0):
            name = f"{fold.name} {value}"
            world.add(name, Compare(Comparison.EQ, Aggregate(rows, fold, total), number(value)))
            world.activate(name)
    ties = (("a", 1, "b", 0), ("b", 0, "a", 1), ("b", 0, "a", 0), ("a", 0, "b", 0))
    for ordinal, (first, received, second, other) in enumerate(ties, start=1):
        for event_id, shift, value in ((first, received, 1.0), (second, other, 2.0)):
            event = purchase(NOW - 5, event_id, {"total": value})
            world.given(ordinal, replace(event, received_ms=NOW - shift))
    assert world.actual() == {
        "LATEST 1.0": {2, 3},
        "LATEST 2.0": {1, 4},
        "EARLIEST 1.0": {1, 4},
        "EARLIEST 2.0": {2, 3},
    }


def test_an_age_passes_its_span_at_exactly_its_instant() -> None:
    world = World()
    world.advance(NOW, inclusive=True)
    for comparison in Comparison:
        age = Age(Attribute("since", Kind.TIME))
        world.add(comparison.name, Compare(comparison, age, Literal(10, Kind.SPAN)))
        world.activate(comparison.name)
    for ordinal, shift in enumerate((-11, -10, -9, 0, 5), start=1):
        world.attributes(ordinal, {"since": NOW + shift}, NOW)
    world.advance(30, inclusive=True)
    assert world.actual()["GT"] == {1, 2, 3, 4, 5}
    assert world.actual()["EQ"] == set()


def test_two_windows_over_the_same_rows_end_each_at_its_own_instant() -> None:
    shorter = Aggregate(Rows(Scope.EVENT, ("purchase",), None, WINDOW // 2), Fold.COUNT)
    world = World()
    world.advance(NOW, inclusive=True)
    world.add("older", Compare(Comparison.GT, counted, shorter))
    world.activate("older")
    world.given(1, purchase(NOW - 1, "a"))
    for step_ms in (WINDOW // 2 - 1, WINDOW // 2 - 1):
        world.advance(step_ms, inclusive=True)
        assert world.actual() == {"older": {1}}
    world.advance(1, inclusive=True)
    assert world.actual() == {"older": set()}


def test_halves_of_a_person_are_what_they_would_have_been_and_may_be_one_again() -> None:
    world = World()
    world.advance(NOW, inclusive=True)
    gold = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))
    for name, rule in (("a", at_least(counted, 2)), ("b", gold), ("c", Not(InAudience("a")))):
        world.add(name, rule)
        world.activate(name)
    for place, came_with in enumerate(("crm:1", "email:x", "email:x", "crm:1")):
        event = Event(f"e{place}", "purchase", NOW - place, NOW, came_with, {})
        world.given(place % 2 + 1, event)
        tier = ("none", "gold", None, "gold")[place]
        world.attributes(place % 2 + 1, {"tier": tier}, 10 - place // 2, came_with)
    world.merge(1, 2)
    world.reload()
    world.divide(1, 7, ["email:x"])
    world.divide(7, 8, ["nothing:of-that"])
    world.advance(WINDOW - 2, inclusive=True)
    world.merge(7, 1)
    world.merge(8, 7)
    world.reload()
    world.divide(8, 9, ["crm:1", "email:x"])
    world.advance(WINDOW, inclusive=True)
