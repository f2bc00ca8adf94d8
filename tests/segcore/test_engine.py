"""The engine at its boundaries: the ends of windows, thresholds, ties, late events, merges."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from segcore.changes import Change
from segcore.engine import Engine
from segcore.history import Event, Item, PropertyValue
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    Arithmetic,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    Kind,
    Literal,
    Not,
    Operator,
    Rows,
    Scope,
    TestText,
    TextTest,
    Truth,
)

NOW = 1_000
WINDOW = 100
bought = Aggregate(Rows(Scope.EVENT, ("purchase",)), Fold.EXISTS)
bought_lately = Aggregate(Rows(Scope.EVENT, ("purchase",), None, WINDOW), Fold.EXISTS)
total = EventField("total", Kind.NUMBER)
spent = Aggregate(Rows(Scope.EVENT, ("purchase",)), Fold.SUM, total)
spent_lately = Aggregate(Rows(Scope.EVENT, ("purchase",), None, WINDOW), Fold.SUM, total)


def number(value: float) -> Literal:
    return Literal(round(value * MICRO), Kind.NUMBER)


def at_least(value: Expression, limit: float) -> Compare:
    return Compare(Comparison.GE, value, number(limit))


def engine_with(**rules: Expression) -> Engine:
    engine = Engine()
    engine.advance(NOW, inclusive=True)
    for audience_id, rule in rules.items():
        engine.add_audience(audience_id, 1, rule)
        engine.activate(audience_id, 1)
    return engine


def purchase(
    occurred_ms: int,
    event_id: str = "e",
    properties: Mapping[str, PropertyValue] | None = None,
    items: tuple[Item, ...] = (),
) -> Event:
    return Event(event_id, "purchase", occurred_ms, occurred_ms, "crm:1", properties or {}, items)


def told(changes: list[Change]) -> list[tuple[str, int, bool, int]]:
    return [(c.audience_id, c.ordinal, c.entered, c.at_ms) for c in changes]


def test_a_row_leaves_its_window_at_exactly_its_end() -> None:
    engine = engine_with(a=bought_lately)
    assert told(engine.add_event(1, purchase(NOW - 30))) == [("a", 1, True, NOW)]
    assert engine.next_due_ms() == NOW + 70
    assert engine.advance(NOW + 69, inclusive=True) == []
    assert engine.advance(NOW + 70, inclusive=False) == []
    assert engine.is_member("a", 1)
    assert engine.advance(NOW + 70, inclusive=True) == [
        Change("a", 1, 1, entered=False, at_ms=NOW + 70, clock=True)
    ]
    assert engine.next_due_ms() is None


def test_an_event_at_the_instant_at_which_a_row_leaves_keeps_the_profile_in() -> None:
    engine = engine_with(a=bought_lately)
    engine.add_event(1, purchase(NOW, "first"))
    engine.advance(NOW + WINDOW, inclusive=False)
    assert engine.add_event(1, purchase(NOW + WINDOW, "second")) == []
    assert engine.advance(NOW + WINDOW, inclusive=True) == []
    assert set(engine.members("a")) == {1}


def test_a_late_event_outside_the_window_counts_without_a_window_only() -> None:
    engine = engine_with(ever=bought, lately=bought_lately)
    assert told(engine.add_event(1, purchase(NOW - WINDOW))) == [("ever", 1, True, NOW)]
    assert told(engine.add_event(2, purchase(NOW - WINDOW + 1))) == [
        ("ever", 2, True, NOW),
        ("lately", 2, True, NOW),
    ]
    assert told(engine.advance(NOW + 50, inclusive=True)) == [("lately", 2, False, NOW + 1)]


def test_a_late_event_leaves_at_the_end_of_its_own_window() -> None:
    engine = engine_with(twice=at_least(Aggregate(bought_lately.rows, Fold.COUNT), 2))
    assert engine.add_event(1, purchase(NOW, "first")) == []
    assert told(engine.add_event(1, purchase(NOW - 60, "late"))) == [("twice", 1, True, NOW)]
    assert told(engine.advance(NOW + 500, inclusive=True)) == [("twice", 1, False, NOW + 40)]


def test_what_fell_due_in_a_jump_is_done_in_order_each_at_its_own_instant() -> None:
    engine = engine_with(a=bought_lately, none=Not(bought_lately))
    engine.add_event(2, purchase(NOW, "x"))
    engine.add_event(1, purchase(NOW - 10, "y"))
    engine.add_event(3, purchase(NOW, "z"))
    assert told(engine.advance(NOW + 1000, inclusive=True)) == [
        ("a", 1, False, NOW + 90),
        ("none", 1, True, NOW + 90),
        ("a", 2, False, NOW + 100),
        ("none", 2, True, NOW + 100),
        ("a", 3, False, NOW + 100),
        ("none", 3, True, NOW + 100),
    ]


def test_two_leaves_that_move_at_one_instant_do_not_flicker() -> None:
    viewed = Aggregate(Rows(Scope.EVENT, ("view",), None, WINDOW), Fold.EXISTS)
    both_or_none = Compare(Comparison.EQ, bought_lately, viewed)
    engine = engine_with(a=both_or_none)
    engine.ensure_profile(1)
    engine.add_event(1, purchase(NOW, "p"))
    engine.add_event(1, Event("v", "view", NOW, NOW, "crm:1", {}))
    assert engine.advance(NOW + 1000, inclusive=True) == []


def test_a_sum_reaches_its_threshold_exactly() -> None:
    engine = engine_with(a=at_least(spent, 400))
    assert engine.add_event(1, purchase(NOW, "x", {"total": 399.99})) == []
    assert told(engine.add_event(1, purchase(NOW, "y", {"total": 0.01}))) == [("a", 1, True, NOW)]
    assert told(engine.add_event(1, purchase(NOW, "z", {"total": -0.000001}))) == [
        ("a", 1, False, NOW)
    ]


def test_a_row_without_a_value_adds_nothing() -> None:
    engine = engine_with(a=Compare(Comparison.EQ, spent, number(0)))
    engine.ensure_profile(1)
    assert engine.add_event(1, purchase(NOW, "x")) == []
    assert engine.add_event(1, purchase(NOW, "y", {"total": "12"})) == []


def test_a_sum_beyond_64_bits_is_missing_and_comes_back() -> None:
    thousandfold = Arithmetic(Operator.MUL, total, number(1000))
    huge = Aggregate(spent_lately.rows, Fold.SUM, thousandfold)
    engine = engine_with(missing=Compare(Comparison.EQ, huge, Literal(None, None)))
    assert engine.add_event(1, purchase(NOW - 1, "x", {"total": 9e9})) == []
    changes = engine.add_event(1, purchase(NOW, "y", {"total": 9e9}))
    assert told(changes) == [("missing", 1, True, NOW)]
    assert told(engine.advance(NOW + WINDOW, inclusive=True)) == [
        ("missing", 1, False, NOW + WINDOW - 1),
    ]


def test_items_are_rows_and_a_bare_sku_is_one_of_quantity_one() -> None:
    brand = Compare(
        Comparison.EQ, ItemField("brand", Kind.TEXT), Literal("Manuela Arcari", Kind.TEXT)
    )
    lines = Rows(Scope.ITEM, ("purchase",), brand)
    worth = Arithmetic(
        Operator.MUL, ItemField("price", Kind.NUMBER), ItemField("quantity", Kind.NUMBER)
    )
    engine = engine_with(a=at_least(Aggregate(lines, Fold.SUM, worth), 100))
    lines_of_one = (
        Item("dress", brand="Manuela Arcari", price=30.0, quantity=2.0),
        Item("hat", brand="Acme", price=500.0),
    )
    assert engine.add_event(1, purchase(NOW, "x", items=lines_of_one)) == []
    bare: dict[str, PropertyValue] = {"sku": "belt", "brand": "Manuela Arcari", "price": 40.0}
    assert told(engine.add_event(1, purchase(NOW, "y", bare))) == [("a", 1, True, NOW)]
    assert engine.row_count == 5


def test_the_latest_as_of_wins_and_of_equal_ones_the_later_arrival() -> None:
    gold = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))
    engine = engine_with(a=gold)
    assert told(engine.set_attributes(1, {"tier": "gold"}, 10)) == [("a", 1, True, NOW)]
    assert engine.set_attributes(1, {"tier": "none"}, 9) == []
    assert told(engine.set_attributes(1, {"tier": None}, 10)) == [("a", 1, False, NOW)]
    assert engine.set_attributes(1, {"tier": "gold"}, 9) == []


def test_a_value_of_another_kind_is_another_value_though_it_lies_the_same_in_memory() -> None:
    engine = engine_with(a=Truth(Attribute("x", Kind.FLAG)))
    assert told(engine.set_attributes(1, {"x": True}, 10)) == [("a", 1, True, NOW)]
    assert told(engine.set_attributes(1, {"x": 0.000001}, 10)) == [("a", 1, False, NOW)]


@pytest.mark.parametrize(("winner", "loser"), [(1, 2), (2, 1)])
def test_a_merge_keeps_the_latest_values_of_both(winner: int, loser: int) -> None:
    gold = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))
    vip = Truth(Attribute("vip", Kind.FLAG))
    engine = engine_with(gold=gold, vip=vip)
    engine.set_attributes(1, {"tier": "none", "vip": True}, 10)
    engine.set_attributes(2, {"tier": "gold"}, 10)
    engine.set_attributes(2, {"vip": False}, 9)
    engine.merge(winner, loser)
    assert [set(engine.members(name)) for name in ("gold", "vip")] == [{winner}, {winner}]
    assert len(engine.history(winner).attribute_changes) == 2


def test_a_merge_beside_a_build_counts_each_row_once() -> None:
    for max_rows in range(1, 6):
        engine = engine_with()
        for place in range(6):
            engine.add_event(place % 2 + 1, purchase(NOW, f"e{place}"))
        count = Aggregate(bought.rows, Fold.COUNT)
        engine.add_audience("a", 1, Compare(Comparison.EQ, count, number(7)))
        engine.build(max_rows)
        engine.merge(1, 2)
        engine.build(1)
        engine.add_event(1, purchase(NOW, "last"))
        assert set(engine.activate("a", 1)) == {1}


def test_a_rule_that_asks_for_nothing_holds_from_the_first_mention() -> None:
    engine = engine_with(none=Not(bought), child=Not(InAudience("none")))
    assert told(engine.ensure_profile(4)) == [("none", 4, True, NOW)]
    assert engine.ensure_profile(4) == []
    assert told(engine.add_event(5, purchase(NOW))) == [("child", 5, True, NOW)]
    assert told(engine.set_attributes(6, {"x": 1.0}, NOW)) == [("none", 6, True, NOW)]
    assert not engine.is_member("none", 0)
    assert set(engine.members("none")) == {4, 6}


def test_a_child_comes_after_its_parent_in_one_answer() -> None:
    engine = engine_with(parent=bought_lately, child=All((InAudience("parent"), bought)))
    both = [("parent", 1, True, NOW), ("child", 1, True, NOW)]
    assert told(engine.add_event(1, purchase(NOW))) == both
    gone = [("parent", 1, False, NOW + WINDOW), ("child", 1, False, NOW + WINDOW)]
    assert told(engine.advance(NOW + WINDOW, inclusive=True)) == gone


def test_a_merge_unites_and_enters_who_qualifies_only_now() -> None:
    engine = engine_with(a=at_least(spent, 100))
    engine.add_event(1, purchase(NOW, "x", {"total": 60.0}))
    engine.add_event(2, purchase(NOW, "y", {"total": 60.0}))
    merged = engine.merge(1, 2)
    assert told(merged.changes) == [("a", 1, True, NOW)]
    assert merged.inherited == ()
    assert [event.event_id for event in engine.history(1).events] == ["x", "y"]
    assert engine.history(2).events == ()
    assert engine.profile_count == 1


def test_a_membership_of_the_loser_is_inherited_and_one_of_the_winner_stays() -> None:
    engine = engine_with(a=bought, b=bought_lately)
    engine.add_event(2, purchase(NOW, "x"))
    engine.ensure_profile(1)
    merged = engine.merge(1, 2)
    assert (merged.changes, merged.inherited) == ([], ("a", "b"))
    assert set(engine.members("a")) == {1}
    engine.add_event(3, purchase(NOW, "y"))
    merged = engine.merge(3, 1)
    assert (merged.changes, merged.inherited) == ([], ())
    assert told(engine.advance(NOW + 500, inclusive=True)) == [("b", 3, False, NOW + WINDOW)]


def test_a_merge_ends_the_memberships_that_do_not_hold_any_more() -> None:
    engine = engine_with(none=Not(bought))
    engine.ensure_profile(1)
    engine.add_event(2, purchase(NOW, "x"))
    engine.ensure_profile(3)
    assert told(engine.merge(1, 2).changes) == [("none", 1, False, NOW)]
    assert engine.merge(1, 3).changes == []
    assert len(engine.members("none")) == 0


def test_a_profile_that_was_merged_away_is_not_spoken_of_again() -> None:
    engine = engine_with(a=bought)
    engine.merge(1, 2)
    for call in (
        lambda: engine.add_event(2, purchase(NOW)),
        lambda: engine.set_attributes(2, {}, NOW),
        lambda: engine.ensure_profile(2),
        lambda: engine.merge(2, 3),
        lambda: engine.merge(3, 2),
        lambda: engine.merge(3, 3),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()


def test_a_build_goes_on_in_slices_beside_live_inputs() -> None:
    engine = engine_with()
    for place in range(10):
        engine.add_event(place % 3 + 1, purchase(NOW - place, f"e{place}"))
    engine.add_audience("a", 1, at_least(Aggregate(bought_lately.rows, Fold.COUNT), 4))
    assert 0 < engine.build(4) < 1
    assert engine.add_event(2, purchase(NOW, "live")) == []
    with pytest.raises(KeyError, match="not built yet"):
        engine.members("a")
    while engine.build(100) < 1:
        pass
    assert set(engine.activate("a", 1)) == {1, 2}
    assert told(engine.add_event(3, purchase(NOW, "last"))) == [("a", 3, True, NOW)]


def test_audiences_over_the_same_rows_share_a_leaf() -> None:
    turned = Aggregate(Rows(Scope.EVENT, ("b", "a", "b"), at=7), Fold.COUNT, at=3)
    straight = Aggregate(Rows(Scope.EVENT, ("a", "b")), Fold.EXISTS)
    engine = engine_with(x=at_least(turned, 2), y=straight)
    assert engine.node_count == 1


@pytest.mark.parametrize(
    ("audience_id", "rule", "message"),
    [
        ("a", bought, "exists"),
        ("b", InAudience("nobody"), "nobody"),
        ("b", total, "kind"),
        ("b", Compare(Comparison.LT, spent, Literal("x", Kind.TEXT)), "one kind"),
        ("b", Compare(Comparison.EQ, total, number(1)), "below rows only"),
        ("b", TestText(TextTest.CONTAINS, Attribute("x", Kind.TEXT), "\ud800"), "surrogates"),
    ],
)
def test_a_rule_that_cannot_be_run_is_refused(
    audience_id: str, rule: Expression, message: str
) -> None:
    engine = engine_with(a=bought)
    before = engine.state_hash()
    with pytest.raises(ValueError, match=message):
        engine.add_audience(audience_id, 1, rule)
    assert engine.state_hash() == before


def test_an_audience_is_activated_once_after_those_it_refers_to() -> None:
    engine = engine_with()
    engine.add_audience("parent", 1, bought)
    engine.add_audience("child", 2, InAudience("parent"))
    with pytest.raises(ValueError, match="parent to be active"):
        engine.activate("child", 2)
    with pytest.raises(ValueError, match="version 1"):
        engine.activate("parent", 2)
    with pytest.raises(KeyError, match="nobody"):
        engine.activate("nobody", 1)
    engine.activate("parent", 1)
    assert [(d.audience_id, d.version, d.active) for d in engine.audiences()] == [
        ("parent", 1, True),
        ("child", 2, False),
    ]


@pytest.mark.parametrize(
    "event",
    [
        purchase(NOW + 1),
        purchase(NOW, properties={"total": 9.1e9}),
        purchase(NOW, properties={"total": float("nan")}),
        purchase(NOW, properties={"at": 2**63}),
        purchase(NOW, items=(Item("a"), Item("b", price=float("inf")))),
        purchase(NOW, items=(Item("a"), Item("b", quantity=-1e10))),
        purchase(NOW, properties={"text": "\ud800"}),
    ],
)
def test_an_event_that_cannot_be_kept_is_refused_and_leaves_nothing(event: Event) -> None:
    engine = engine_with(a=bought, none=Not(bought))
    before = engine.state_hash()
    with pytest.raises(ValueError, match=r"expected|surrogates"):
        engine.add_event(1, event)
    assert engine.state_hash() == before
    assert (engine.event_count, engine.row_count, engine.profile_count) == (0, 0, 0)
    engine.add_event(1, purchase(NOW, "good", {"total": 1.0}))
    assert engine.history(1).events[0].properties == {"total": 1.0}


def test_attributes_that_cannot_be_kept_are_refused_all_together() -> None:
    gold = Compare(Comparison.NE, Attribute("a", Kind.NUMBER), Literal(None, None))
    engine = engine_with(a=gold)
    before = engine.state_hash()
    with pytest.raises(ValueError, match="b: expected"):
        engine.set_attributes(1, {"a": 1.0, "b": 1e12}, NOW)
    assert engine.state_hash() == before
    assert engine.profile_count == 0
    assert engine.history(1).attribute_changes == ()


def test_ordinals_begin_at_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        engine_with().ensure_profile(0)


def test_time_never_runs_back() -> None:
    engine = engine_with(a=bought_lately)
    assert engine.advance(NOW - 500, inclusive=True) == []
    assert (engine.now_ms, engine.settled) == (NOW, True)
    engine.advance(NOW, inclusive=False)
    assert engine.settled
