"""The engine at the edges: thresholds, kinds of leaves, words of bits, days, late rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from test_engine import at_least, bought, number, purchase
from world import World

from segcore.engine import Engine
from segcore.history import Event
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    FormText,
    InAudience,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    TextForm,
)
from segcore.select import select

NOW = 1_000
WINDOW = 100
lately = Rows(Scope.EVENT, ("purchase",), None, WINDOW)
counted = Aggregate(lately, Fold.COUNT)
null = Literal(None, None)
never_viewed = Not(Aggregate(Rows(Scope.EVENT, ("view",)), Fold.EXISTS))


def lower(name: str) -> Expression:
    return FormText(TextForm.LOWER, EventField(name, Kind.TEXT))


def engine_at(now_ms: int, zone: str = "UTC", **rules: Expression) -> Engine:
    engine = Engine(zone=zone)
    engine.advance(now_ms, inclusive=True)
    for audience_id, rule in rules.items():
        engine.add_audience(audience_id, 1, rule)
        engine.activate(audience_id, 1)
    return engine


def test_a_refused_rule_leaves_no_condition_that_listened_to_nothing() -> None:
    engine = engine_at(NOW)
    engine.ensure_profile(1)
    for rule in (at_least(counted, 1), bought, never_viewed):
        before = engine.state_hash()
        with pytest.raises(ValueError, match="nobody"):
            engine.add_audience("wrong", 1, All((rule, InAudience("nobody"))))
        assert engine.state_hash() == before
        engine.build(100)
    engine.add_event(1, purchase(NOW, "a"))
    engine.add_event(1, Event("b", "view", NOW, NOW, "crm:1", {}))
    for name, rule in (("a", at_least(counted, 1)), ("b", bought), ("c", Not(never_viewed))):
        engine.add_audience(name, 1, rule)
        assert set(engine.activate(name, 1)) == {1}


def test_a_text_made_by_a_condition_takes_no_part_in_the_hash() -> None:
    shouted = Compare(Comparison.EQ, lower("store"), Literal("north", Kind.TEXT))
    rows = Rows(Scope.EVENT, ("purchase",), shouted)
    hashes = set()
    for slices in (0, 1):
        engine = engine_at(NOW)
        engine.add_event(1, purchase(NOW, "a", {"store": "NoRtH"}))
        engine.add_event(1, purchase(NOW, "b", {"store": "SOUTH"}))
        engine.add_audience("a", 1, Aggregate(rows, Fold.EXISTS))
        for _ in range(slices):
            engine.build(100)
        engine.add_event(1, purchase(NOW, "c", {"store": "West"}))
        assert set(engine.activate("a", 1)) == {1}
        hashes.add(engine.state_hash())
        hashes.add(Engine.load(engine.dump()).state_hash())
    assert len(hashes) == 1


@pytest.mark.parametrize("limit", [1, 2, 15, 16, 17, 18])
def test_a_count_around_its_threshold_comes_and_goes_row_by_row(limit: int) -> None:
    """Up to 16 the newest times decide, beyond that every row is kept."""
    world = World()
    world.advance(NOW, inclusive=True)
    for comparison in Comparison:
        for name, shift in (("less", -1), ("just", 0), ("half", 0.5), ("more", 1)):
            rule = Compare(comparison, counted, number(limit + shift))
            world.add(f"{comparison.name} {name}", rule)
            world.activate(f"{comparison.name} {name}")
    for place in range(limit + 1):
        world.given(1, purchase(NOW - 3 * (place * 7 % (limit + 1)), f"e{place}"))
    world.advance(WINDOW + 1, inclusive=True)


@pytest.mark.parametrize("limits", [(2, 20), (20, 2), (16, 17), (17, 16), (3, 2), (2, 3)])
def test_a_leaf_serves_a_threshold_that_comes_later(limits: tuple[int, int]) -> None:
    world = World()
    world.advance(NOW, inclusive=True)
    for name, limit in zip("ab", limits, strict=True):
        world.add(name, at_least(counted, limit))
        world.activate(name)
        for place in range(11):
            world.given(1, purchase(world.now_ms - place, f"{name}{place}"))
        world.advance(4, inclusive=False)
    world.remove("a")
    world.add("c", Compare(Comparison.EQ, counted, number(limits[0] + 1)))
    world.build(3)
    world.activate("c")
    world.advance(WINDOW, inclusive=True)


def test_rules_that_are_added_while_others_are_built_count_each_row_once() -> None:
    world = World()
    world.advance(NOW, inclusive=True)
    for place in range(9):
        world.given(place % 3 + 1, purchase(NOW - place * 10, f"e{place}"))
    waiting = []
    for place, limit in enumerate((3, 4, 2, 18)):
        world.add(f"a{place}", Compare(Comparison.EQ, counted, number(limit)))
        waiting.append(f"a{place}")
        world.build(2)
        world.given(2, purchase(world.now_ms, f"live{place}"))
        world.advance(5, inclusive=bool(place % 2))
        if place == 1:
            world.merge(1, 3)
    for name in reversed(waiting):
        world.activate(name)
    world.advance(WINDOW, inclusive=True)


@pytest.mark.parametrize("inclusive", [False, True])
def test_an_event_just_at_the_far_end_of_a_window_is_out_once_that_instant_is_over(
    inclusive: bool,  # noqa: FBT001
) -> None:
    world = World()
    world.advance(NOW, inclusive=inclusive)
    horizon_ms = NOW if inclusive else NOW - 1
    world.add("a", at_least(counted, 1))
    world.activate("a")
    for ordinal, shift in enumerate((-1, 0, 1), start=1):
        world.given(ordinal, purchase(horizon_ms - WINDOW + shift, f"e{shift}"))
    assert world.actual() == {"a": {3}}
    for limit in (1, 17):
        world.ask(at_least(counted, limit))
        for at_ms in (NOW - 2, NOW - 1, NOW):
            world.ask(at_least(counted, limit), at_ms)
    world.attributes(1, {"name": "x"}, NOW - 1)
    for at_ms in (NOW - 2, NOW - 1, NOW):
        world.ask(Compare(Comparison.NE, Attribute("name", Kind.TEXT), null), at_ms)
    world.advance(0, inclusive=True)
    world.advance(3, inclusive=True)
    assert world.actual() == {"a": set()}


@pytest.mark.parametrize("limit", [2, 16, 17])
def test_a_row_that_no_timer_waits_for_is_out_at_the_end_of_its_window(limit: int) -> None:
    """Below the least count that matters none is set, so nothing rings when the row leaves."""
    world = World()
    world.advance(NOW, inclusive=True)
    world.add("a", at_least(counted, limit))
    world.activate("a")
    for ordinal, shift in ((1, 0), (2, -1), (3, 1)):
        world.given(ordinal, purchase(NOW + shift - 1, f"old{ordinal}"))
    assert world.engine.next_due_ms() is None
    world.advance(WINDOW - 1, inclusive=True)
    for ordinal in (1, 2, 3):
        for place in range(limit - 1):
            world.given(ordinal, purchase(world.now_ms, f"e{ordinal}-{place}"))
    assert world.actual() == {"a": {3}}
    world.advance(WINDOW + 1, inclusive=True)


EDGES = (1, 63, 64, 65, 127, 128, 65_535, 65_536, 65_537, 131_071, 131_072, 200_000)


def _check_edges(engine: Engine, ordinals: Sequence[int], bought_by: set[int]) -> None:
    assert list(engine.members("bought")) == sorted(bought_by)
    assert list(engine.members("not")) == sorted(set(ordinals) - bought_by)
    assert list(select(engine, bought)) == sorted(bought_by)
    assert list(select(engine, Not(bought))) == sorted(set(ordinals) - bought_by)
    assert engine.member_count("not") == len(ordinals) - len(bought_by)


def test_ordinals_at_the_edges_of_words_and_containers_are_apart() -> None:
    engine = engine_at(NOW, bought=bought, **{"not": AnyOf((Not(bought), Not(bought)))})
    for ordinal in EDGES:
        engine.ensure_profile(ordinal)
    for place, ordinal in enumerate(EDGES):
        engine.add_event(ordinal, purchase(NOW, f"e{ordinal}"))
        _check_edges(engine, EDGES, set(EDGES[: place + 1]))
    twin = Engine.load(engine.dump())
    _check_edges(twin, EDGES, set(EDGES))
    assert twin.state_hash() == engine.state_hash()
    for one, other in pairwise(EDGES[:4]):
        twin.merge(other, one)
    _check_edges(twin, EDGES[3:], set(EDGES[3:]))


def test_state_that_was_sparse_answers_the_same_once_it_is_dense() -> None:
    """Ordinals with gaps up to 200,000, first few and then many; each leaves at its own instant."""
    twice = at_least(counted, 2)
    engine = engine_at(NOW, once=at_least(counted, 1), twice=twice, both=InAudience("twice"))
    last: dict[int, int] = {}
    for place in range(30_000):
        ordinal = 1 + (place * 7_919) % 200_000 if place < 20_000 else 1 + place % 6_000
        occurred_ms = NOW - place % 50
        engine.add_event(ordinal, purchase(occurred_ms, str(place)))
        last[ordinal] = max(last.get(ordinal, 0), occurred_ms)
    members = set(engine.members("twice"))
    assert set(engine.members("once")) == set(last)
    assert members == set(engine.members("both")) == set(select(engine, twice))
    twin = Engine.load(engine.dump())
    left = [c for c in engine.advance(NOW + 2 * WINDOW, inclusive=True) if c.audience_id == "once"]
    assert [(c.ordinal, c.at_ms) for c in left] == [
        (ordinal, occurred_ms + WINDOW)
        for occurred_ms, ordinal in sorted((ms, ordinal) for ordinal, ms in last.items())
    ]
    twin.advance(NOW + 2 * WINDOW, inclusive=True)
    assert not twin.members("twice")
    assert twin.state_hash() == engine.state_hash()
