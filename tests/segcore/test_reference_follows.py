"""What follows what: sequences, absences, keys, ties and nesting, worked out by hand."""

from __future__ import annotations

import pytest

from segcore.history import Event, History, Item
from segcore.reference import Moment, Value, evaluate, next_change_ms, rows_at
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    AnyOf,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    ItemField,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)
from segcore.witnesses import witness_rows, witness_skus

NOW = 1_000
sku = ItemField("sku", Kind.TEXT)


def at(occurred_ms: int, type_: str = "a", *skus: str, **properties: str) -> Event:
    items = tuple(Item(each) for each in skus)
    event_id = f"{type_}{occurred_ms}{''.join(skus)}"
    return Event(event_id, type_, occurred_ms, NOW, "crm:1", properties, items)


def rows(type_: str, *follows: Follow, **filters: object) -> Rows:
    return Rows(Scope.EVENT, (type_,), follows=follows, **filters)  # type: ignore[arg-type]


def lines(type_: str, *follows: Follow, **filters: object) -> Rows:
    return Rows(Scope.ITEM, (type_,), key=sku, follows=follows, **filters)  # type: ignore[arg-type]


def then(rows: Rows, within_ms: int | None = None) -> Follow:
    return Follow(rows, within_ms, absent=False)


def without(rows: Rows, within_ms: int | None = None) -> Follow:
    return Follow(rows, within_ms, absent=True)


def count(rows: Rows) -> Aggregate:
    return Aggregate(rows, Fold.COUNT)


def value_of(
    expression: Expression, *events: Event, now_ms: int = NOW, settled: bool = True
) -> Value:
    return evaluate(expression, History(events), now_ms, lambda _: False, settled=settled)


@pytest.mark.parametrize(
    ("then_ms", "within", "kept"),
    [
        (500, None, False),
        (501, None, True),
        (499, None, False),
        (1_000, None, True),
        (500, 10, False),
        (501, 10, True),
        (510, 10, True),
        (511, 10, False),
    ],
)
def test_a_row_is_followed_by_a_strictly_later_one_up_to_the_end_of_its_time(
    then_ms: int,
    within: int | None,
    kept: bool,  # noqa: FBT001
) -> None:
    rule = count(rows("a", then(rows("b"), within)))
    assert value_of(rule, at(500), at(then_ms, "b")) == kept * MICRO


@pytest.mark.parametrize(
    ("then_ms", "within", "kept"),
    [
        (500, None, False),
        (499, None, True),
        (501, None, False),
        (500, 10, False),
        (499, 10, True),
        (510, 10, False),
        (511, 10, True),
    ],
)
def test_a_row_is_not_followed_where_none_comes_from_its_own_instant_to_the_end(
    then_ms: int,
    within: int | None,
    kept: bool,  # noqa: FBT001
) -> None:
    rule = count(rows("a", without(rows("b"), within)))
    assert value_of(rule, at(500), at(then_ms, "b")) == kept * MICRO


def test_an_absence_holds_from_the_very_instant_at_which_its_time_is_over() -> None:
    rule = Aggregate(rows("a", without(rows("b"), 10)), Fold.EXISTS)
    assert value_of(rule, at(991), now_ms=1_000) is False
    assert value_of(rule, at(990), now_ms=1_000) is True
    assert value_of(rule, at(990), now_ms=1_000, settled=False) is False
    assert next_change_ms(rule, History((at(991),)), NOW, lambda _: False) == 1_001
    at_once = Aggregate(rows("a", without(rows("b"))), Fold.EXISTS)
    assert value_of(at_once, at(NOW), settled=False) is True


def test_an_absence_ends_again_when_its_row_leaves_the_window() -> None:
    rule = Aggregate(rows("a", without(rows("b"), 10), last_ms=50), Fold.EXISTS)
    history = History((at(980),))
    found = [evaluate(rule, history, ms, lambda _: False) for ms in (989, 990, 1_029, 1_030)]
    assert found == [False, True, True, False]
    assert next_change_ms(rule, history, NOW, lambda _: False) == 1_030


def test_an_absence_begins_anew_when_what_followed_leaves_its_own_window() -> None:
    rule = Aggregate(rows("a", without(rows("b", last_ms=50))), Fold.EXISTS)
    history = History((at(900), at(960, "b")))
    assert evaluate(rule, history, 1_009, lambda _: False) is False
    assert evaluate(rule, history, 1_010, lambda _: False) is True
    assert next_change_ms(rule, history, NOW, lambda _: False) == 1_010


def test_a_sequence_ends_when_the_second_row_leaves_its_own_window() -> None:
    rule = Aggregate(rows("a", then(rows("b", last_ms=50))), Fold.EXISTS)
    history = History((at(900), at(960, "b")))
    assert next_change_ms(rule, history, NOW, lambda _: False) == 1_010


def test_each_row_counts_once_however_many_follow() -> None:
    rule = count(rows("a", then(rows("b"))))
    assert value_of(rule, at(1), at(2), at(3, "b"), at(4, "b"), at(5)) == 2 * MICRO


def test_a_row_is_never_its_own_successor_but_another_of_its_kind_is() -> None:
    alone = count(rows("a", without(rows("a"), 10)))
    assert value_of(alone, at(500)) == MICRO
    twin = Event("twin", "a", 500, NOW, "crm:1", {})
    assert value_of(alone, at(500), twin) == 0
    assert value_of(alone, at(500), at(505)) == MICRO
    again = count(rows("a", then(rows("a"))))
    assert value_of(again, at(500)) == 0
    assert value_of(again, at(500), at(501)) == MICRO


def test_two_lines_of_one_event_are_two_rows_at_one_instant() -> None:
    unkeyed = Rows(Scope.ITEM, ("a",))
    alone = Aggregate(Rows(Scope.ITEM, ("a",), follows=(without(unkeyed, 10),)), Fold.COUNT)
    assert value_of(alone, at(500, "a", "x")) == MICRO
    assert value_of(alone, at(500, "a", "x", "y")) == 0
    same = count(lines("a", without(lines("a"), 10)))
    assert value_of(same, at(500, "a", "x", "y")) == 2 * MICRO
    assert value_of(same, at(500, "a", "x", "x")) == 0


def test_a_line_and_its_event_are_not_one_row() -> None:
    alone = Aggregate(Rows(Scope.ITEM, ("a",), follows=(without(rows("a"), 10),)), Fold.COUNT)
    assert value_of(alone, at(500, "a", "x")) == 0


def test_only_rows_of_the_same_key_follow() -> None:
    left = count(lines("cart", without(lines("buy"), 10)))
    cart = at(500, "cart", "shoe", "dress")
    assert value_of(left, cart) == 2 * MICRO
    assert value_of(left, cart, at(505, "buy", "shoe")) == MICRO
    assert value_of(left, cart, at(505, "buy", "hat")) == 2 * MICRO
    taken = count(lines("cart", then(lines("buy"))))
    assert value_of(taken, cart, at(505, "buy", "shoe", "hat")) == MICRO


def test_a_missing_key_equals_no_key() -> None:
    order = EventField("order", Kind.TEXT)
    a, b = rows("a", key=order), rows("b", key=order)
    gone = count(Rows(Scope.EVENT, ("a",), key=order, follows=(without(b, 10),)))
    taken = count(Rows(Scope.EVENT, ("a",), key=order, follows=(then(b),)))
    assert a.key is order
    assert value_of(gone, at(500), at(505, "b")) == MICRO
    assert value_of(taken, at(500), at(505, "b")) == 0
    assert value_of(gone, at(500, order="o"), at(505, "b", order="o")) == 0
    assert value_of(taken, at(500, order="o"), at(505, "b", order="o")) == MICRO
    assert value_of(taken, at(500, order="o"), at(505, "b")) == 0


def test_sequences_nest() -> None:
    rule = count(rows("a", then(rows("b", then(rows("c"), 5)), 20)))
    assert value_of(rule, at(500), at(510, "b"), at(515, "c")) == MICRO
    assert value_of(rule, at(500), at(510, "b"), at(516, "c")) == 0
    assert value_of(rule, at(500), at(521, "b"), at(522, "c")) == 0
    assert value_of(rule, at(500), at(510, "b"), at(519, "b"), at(520, "c")) == MICRO


def test_an_absence_within_a_sequence_begins_by_time() -> None:
    rule = Aggregate(rows("a", then(rows("b", without(rows("c"), 50)))), Fold.EXISTS)
    history = History((at(900), at(970, "b")))
    assert evaluate(rule, history, 1_019, lambda _: False) is False
    assert evaluate(rule, history, 1_020, lambda _: False) is True
    assert next_change_ms(rule, history, NOW, lambda _: False) == 1_020


def test_several_tests_of_one_row_all_hold() -> None:
    rule = count(rows("a", then(rows("b")), without(rows("c"), 10)))
    assert value_of(rule, at(500), at(600, "b")) == MICRO
    assert value_of(rule, at(500), at(600, "b"), at(510, "c")) == 0
    assert value_of(rule, at(500)) == 0


def test_where_narrows_the_side_on_which_it_stands() -> None:
    web = Compare(Comparison.EQ, EventField("channel", Kind.TEXT), Literal("web", Kind.TEXT))
    first = count(rows("a", then(rows("b")), where=web))
    second = count(rows("a", then(rows("b", where=web))))
    pair = at(500, channel="web"), at(510, "b", channel="store")
    assert value_of(first, *pair) == MICRO
    assert value_of(second, *pair) == 0


def test_rows_come_oldest_first() -> None:
    found = rows_at(rows("a"), Moment(History((at(5), at(3), at(4))), NOW, lambda _: False))
    assert [row.event.occurred_ms for row in found] == [3, 4, 5]


def test_the_witnesses_of_a_cart_left_behind_are_the_very_items() -> None:
    left = Aggregate(lines("cart", without(lines("buy"), 10)), Fold.EXISTS)
    events = (
        at(400, "cart", "hat"),
        at(500, "cart", "shoe", "dress"),
        at(505, "buy", "shoe"),
        at(600, "cart", "hat"),
    )
    moment = Moment(History(events), NOW, lambda _: False)
    assert witness_skus(left, moment) == ["hat", "dress"]
    assert [row.event.occurred_ms for row in witness_rows(left, moment)] == [600, 500, 400]


def test_what_does_not_hold_or_is_negated_has_no_witnesses() -> None:
    some, none = Aggregate(lines("cart"), Fold.EXISTS), Aggregate(lines("gone"), Fold.EXISTS)
    few = Compare(Comparison.LT, count(lines("cart")), Literal(5 * MICRO, Kind.NUMBER))
    many = Compare(Comparison.GE, count(lines("cart")), Literal(MICRO, Kind.NUMBER))
    moment = Moment(History((at(400, "cart", "hat"),)), NOW, lambda _: False)
    assert witness_skus(Not(none), moment) == []
    assert witness_skus(Not(some), moment) == []
    assert witness_skus(few, moment) == []
    assert witness_skus(many, moment) == ["hat"]
    assert witness_skus(AnyOf((none, Not(Not(some)))), moment) == ["hat"]
    assert witness_skus(All((some, none)), moment) == []
    newest = Compare(Comparison.GT, Aggregate(lines("cart"), Fold.LATEST), Literal(0, Kind.TIME))
    two = Moment(History((at(400, "cart", "hat"), at(500, "cart", "shoe"))), NOW, lambda _: False)
    assert witness_skus(newest, two) == ["shoe"]
