"""The smallest change that flips a rule: what it says is what would do it."""

from __future__ import annotations

import pytest
from drawn import attribute_values, events, rules
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reference_drawn import Attributes, put_in_time, quick

from segcore.calendar import DAY_MS
from segcore.evaluation import Moment
from segcore.flip import Plan, _Search, smallest_change
from segcore.history import AttributeChange, Event, History, Item, PropertyValue
from segcore.reference import evaluate
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Attribute,
    Bucket,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    InAudience,
    ItemField,
    Kind,
    Literal,
    Not,
    Operator,
    Rows,
    Scope,
    Truth,
)
from segcore.steps import (
    Cannot,
    EnterAudience,
    LeaveAudience,
    MoreRows,
    Obstacle,
    SetAttribute,
    Step,
    Wait,
)
from segcore.trial import Trial

NOW = 1_000 * DAY_MS
tier = Attribute("tier", Kind.TEXT)
gold = Compare(Comparison.EQ, tier, Literal("gold", Kind.TEXT))
store = Compare(Comparison.EQ, EventField("channel", Kind.TEXT), Literal("store", Kind.TEXT))
visits = Rows(Scope.EVENT, ("visit",), store, 30 * DAY_MS)
visited = Aggregate(visits, Fold.EXISTS)
sku = ItemField("sku", Kind.TEXT)
bought = Rows(Scope.ITEM, ("buy",), key=sku)
put_aside = Rows(Scope.ITEM, ("cart",), key=sku, follows=(Follow(bought, 3 * DAY_MS, absent=True),))
left_behind = Aggregate(put_aside, Fold.EXISTS)
spent = Aggregate(
    Rows(Scope.ITEM, ("buy",)),
    Fold.SUM,
    Arithmetic(Operator.MUL, ItemField("price", Kind.NUMBER), ItemField("quantity", Kind.NUMBER)),
)


def number(value: float) -> Literal:
    return Literal(round(value * MICRO), Kind.NUMBER)


def happened(type_: str, days_ago: int, *items: Item, **properties: PropertyValue) -> Event:
    at_ms = NOW - days_ago * DAY_MS
    return Event(f"{type_}{days_ago}", type_, at_ms, at_ms, "crm:1", properties, items)


def changed(rule: Expression, *events: Event, **attributes: PropertyValue) -> tuple[Step, ...]:
    history = History(events, (AttributeChange(attributes, 0),))
    found = smallest_change(rule, history, NOW, lambda _: False)
    assert found is not None
    return found


def test_one_who_is_out_needs_the_rows_that_are_missing() -> None:
    assert changed(visited) == (MoreRows(visits, 1),)
    three = Compare(Comparison.GE, Aggregate(visits, Fold.COUNT), number(3))
    assert changed(three, happened("visit", 5, channel="store")) == (MoreRows(visits, 2),)
    more = Compare(Comparison.GT, Aggregate(visits, Fold.COUNT), number(3))
    assert changed(more) == (MoreRows(visits, 4),)


def test_a_sum_names_what_is_missing_of_it() -> None:
    rule = Compare(Comparison.GE, spent, number(400))
    steps = changed(rule, happened("buy", 1, Item("a", price=399.99)))
    assert steps == (MoreRows(spent.rows, 1, spent.operand, 10_000),)


def test_of_several_conditions_all_that_fail_are_named_and_of_alternatives_the_cheapest() -> None:
    assert changed(All((visited, gold))) == (
        MoreRows(visits, 1),
        SetAttribute("tier", Kind.TEXT, "gold"),
    )
    assert changed(All((visited, gold)), tier="gold") == (MoreRows(visits, 1),)
    assert changed(AnyOf((gold, visited))) == (MoreRows(visits, 1),)


def test_one_who_is_in_leaves_when_the_last_row_does() -> None:
    rows = [happened("visit", 5, channel="store"), happened("visit", 9, channel="store")]
    assert changed(visited, *rows) == (Wait(NOW + 25 * DAY_MS),)
    assert changed(Not(visited)) == (MoreRows(visits, 1),)


def test_what_lies_in_the_past_for_ever_is_said_to() -> None:
    ever = Aggregate(Rows(Scope.EVENT, ("visit",)), Fold.EXISTS, at=7)
    assert changed(ever, happened("visit", 5)) == (Cannot(ever, Obstacle.PAST, 7),)
    few = Compare(Comparison.LT, Aggregate(Rows(Scope.EVENT, ("visit",)), Fold.COUNT), number(1))
    assert changed(All((gold, few)), happened("visit", 5)) == (Cannot(few, Obstacle.PAST),)
    share = Compare(Comparison.LT, Bucket("s"), number(0))
    assert changed(share) == (Cannot(share, Obstacle.SHARE),)
    assert changed(AnyOf((share, gold))) == (SetAttribute("tier", Kind.TEXT, "gold"),)


def test_an_absence_is_ended_by_the_very_item_and_begins_after_its_time() -> None:
    left = happened("cart", 5, Item("shoe"))
    assert changed(left_behind, left) == (Cannot(left_behind, Obstacle.PAST),)
    young = happened("cart", 1, Item("shoe"))
    assert changed(left_behind, young) == (Wait(NOW + 2 * DAY_MS, (bought,)),)
    ever = Aggregate(
        Rows(Scope.ITEM, ("cart",), key=sku, follows=(Follow(bought, None, absent=True),)),
        Fold.EXISTS,
    )
    assert changed(ever, left) == (MoreRows(bought, 1, key="shoe"),)
    two = happened("cart", 4, Item("hat"))
    assert changed(ever, left, two) == (
        MoreRows(bought, 1, key="hat"),
        MoreRows(bought, 1, key="shoe"),
    )


def test_a_row_that_needs_age_needs_a_wait_too() -> None:
    assert changed(left_behind) == (
        MoreRows(put_aside, 1),
        Wait(NOW + 1 + 3 * DAY_MS, (bought,)),
    )


def test_an_age_is_waited_for() -> None:
    away = Compare(
        Comparison.GE,
        Age(Aggregate(Rows(Scope.EVENT, ("visit",)), Fold.LATEST)),
        Literal(90 * DAY_MS, Kind.SPAN),
    )
    assert changed(away, happened("visit", 10)) == (Wait(NOW + 80 * DAY_MS),)
    assert changed(Not(away), happened("visit", 100)) == (
        MoreRows(Rows(Scope.EVENT, ("visit",)), 1),
    )


def test_audiences_are_entered_and_left() -> None:
    vip = InAudience("vip")
    assert changed(vip) == changed(Not(vip)) == (EnterAudience("vip"),)
    assert smallest_change(vip, History(), NOW, lambda _: True) == (LeaveAudience("vip"),)
    of_visits = smallest_change(vip, History(), NOW, lambda _: False, rules={"vip": visited})
    assert of_visits == (EnterAudience("vip"),)


def test_a_flag_is_set() -> None:
    assert changed(Truth(Attribute("member", Kind.FLAG))) == (
        SetAttribute("member", Kind.FLAG, value=True),
    )


@pytest.mark.parametrize("comparison", [Comparison.LT, Comparison.GE])
def test_a_difference_of_sums_is_closed_from_the_right_side(comparison: Comparison) -> None:
    total = EventField("total", Kind.NUMBER)
    buys = Aggregate(Rows(Scope.EVENT, ("buy",)), Fold.SUM, total)
    returns = Aggregate(Rows(Scope.EVENT, ("return",)), Fold.SUM, total)
    rule = Compare(comparison, Arithmetic(Operator.SUB, buys, returns), number(1000))
    above = comparison is Comparison.LT
    (step,) = changed(rule, happened("buy", 2, total=1100.0 if above else 900.0))
    assert isinstance(step, MoreRows)
    assert step.rows == (returns if above else buys).rows
    assert step.amount == (100_010_000 if above else 100 * MICRO)


@settings(quick, max_examples=100)
@given(
    rules(("a",), local_days=True),
    st.lists(events(), max_size=4),
    st.lists(attribute_values, max_size=2),
)
def test_after_the_steps_the_reference_gives_the_other_answer(
    rule: Expression, drawn: list[Event], attributes: list[Attributes]
) -> None:
    history = put_in_time(drawn, attributes, 60)
    now = evaluate(rule, history, 60, lambda _: False)
    start = Plan(0.0, (), Trial(Moment(history, 60, lambda _: False), {}))
    for plan in _Search().plans(rule, start, want=now is not True):
        if any(isinstance(step, Cannot) for step in plan.steps):
            assert len(plan.steps) == 1
            continue
        end = plan.after.moment
        inside = plan.after.inside.get("a", False)
        after = evaluate(rule, end.history, end.now_ms, lambda _, inside=inside: inside)
        assert after is not now
