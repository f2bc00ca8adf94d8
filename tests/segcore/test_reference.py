"""What rules mean, case by case: the oracle itself has to be right."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore import rule
from segcore.history import AttributeChange, Event, History, Item, PropertyValue
from segcore.micro import INT64_MAX, divide_half_even, from_float, to_text
from segcore.reference import Value, evaluate, next_change_ms
from segcore.rule import MICRO, Aggregate, Expression, Fold, Kind, Rows, Scope

NOW = 100
nothing = History()


def value_of(
    expression: Expression, history: History = nothing, now_ms: int = NOW, *, settled: bool = True
) -> Value:
    return evaluate(expression, history, now_ms, lambda _: False, settled=settled)


def person(**attributes: PropertyValue | None) -> History:
    return History((), (AttributeChange(attributes, 0),))


def bought(
    occurred_ms: int,
    properties: Mapping[str, PropertyValue] | None = None,
    items: tuple[Item, ...] = (),
) -> Event:
    return Event(f"e{occurred_ms}", "buy", occurred_ms, NOW, "crm:1", properties or {}, items)


def number(value: float | None) -> rule.Literal:
    return rule.Literal(None, None) if value is None else rule.Literal(from_float(value), number_)


number_ = Kind.NUMBER
x = rule.Attribute("x", Kind.NUMBER)
name = rule.Attribute("x", Kind.TEXT)
flag = rule.Attribute("x", Kind.FLAG)
null = rule.Literal(None, None)


@pytest.mark.parametrize("comparison", list(rule.Comparison))
def test_missing_compares_like_a_value_and_has_no_order(comparison: rule.Comparison) -> None:
    equal = {rule.Comparison.EQ: True, rule.Comparison.NE: False}
    assert value_of(rule.Compare(comparison, x, null)) is equal.get(comparison, False)
    differs = {rule.Comparison.EQ: False, rule.Comparison.NE: True}
    assert value_of(rule.Compare(comparison, x, number(1))) is differs.get(comparison, False)


@pytest.mark.parametrize(
    "test",
    [
        rule.OneOf(name, (rule.Literal("a", Kind.TEXT),)),
        *[rule.TestText(test, name, "") for test in rule.TextTest],
        rule.Truth(flag),
        rule.Compare(rule.Comparison.EQ, flag, rule.Literal(value=False, kind=Kind.FLAG)),
    ],
)
def test_tests_of_a_missing_value_are_false_and_their_negation_true(test: Expression) -> None:
    assert value_of(test) is False
    assert value_of(rule.Not(test)) is True


def test_a_value_of_another_kind_than_declared_is_missing() -> None:
    is_null = rule.Compare(rule.Comparison.EQ, x, null)
    assert value_of(is_null, person(x="text")) is True
    assert value_of(is_null, person(x=True)) is True
    assert value_of(is_null, person(x=1)) is True
    assert value_of(is_null, person(x=1.0)) is False


@pytest.mark.parametrize(
    ("left", "symbol", "right", "expected"),
    [
        (0.000001, "*", 0.5, 0),
        (0.000003, "*", 0.5, 2),
        (-0.000001, "*", 0.5, 0),
        (-0.000003, "*", 0.5, -2),
        (1, "/", 3, 333_333),
        (2, "/", -3, -666_667),
        (0.000001, "/", 2, 0),
        (0.000003, "/", -2, -2),
        (1, "/", 0, None),
        (1, "+", None, None),
        (None, "-", 1, None),
        (9e9, "*", 9e9, None),
        (399.99, "+", 0.01, 400_000_000),
    ],
)
def test_arithmetic_is_in_millionths_rounded_half_to_even(
    left: float | None, symbol: str, right: float | None, expected: int | None
) -> None:
    expression = rule.Arithmetic(rule.Operator(symbol), number(left), number(right))
    assert value_of(expression) == expected


@given(st.integers(-(10**20), 10**20), st.integers(-(10**10), 10**10).filter(bool))
def test_a_quotient_is_the_nearest_and_of_two_the_even_one(dividend: int, divisor: int) -> None:
    quotient = divide_half_even(dividend, divisor)
    rest = abs(dividend - quotient * divisor)
    assert 2 * rest <= abs(divisor)
    assert 2 * rest < abs(divisor) or quotient % 2 == 0


def test_sums_are_exact_beyond_64_bits_and_missing_when_read_there() -> None:
    total = rule.Arithmetic(rule.Operator.MUL, rule.EventField("total", Kind.NUMBER), number(1000))
    spent = Aggregate(Rows(Scope.EVENT, ("buy",)), Fold.SUM, total)
    most = 9e9
    once = History((bought(1, {"total": most}),))
    twice = History((*once.events, bought(2, {"total": most})))
    back = History((*twice.events, bought(3, {"total": -most})))
    assert value_of(spent, once) == 9_000_000_000_000 * MICRO < INT64_MAX
    assert value_of(spent, twice) is None
    assert value_of(spent, back) == value_of(spent, once)
    assert value_of(spent) == 0


def test_a_window_is_open_at_its_old_end_and_closed_at_its_new_one() -> None:
    count = Aggregate(Rows(Scope.EVENT, ("buy",), None, 10), Fold.COUNT)
    for occurred_ms, kept in ((89, 0), (90, 0), (91, 1), (100, 1), (101, 0)):
        assert value_of(count, History((bought(occurred_ms),))) == kept * MICRO
    assert value_of(count, History((bought(90),)), settled=False) == MICRO
    assert value_of(count, History((bought(89),)), settled=False) == 0


def test_text_is_ordered_by_code_points() -> None:
    less = rule.Compare(rule.Comparison.LT, name, rule.Literal("\uffff", Kind.TEXT))
    assert value_of(less, person(x="z")) is True
    assert value_of(less, person(x="\U0001f600")) is False


def test_lines_are_rows_and_a_bare_sku_is_one() -> None:
    quantity = Aggregate(
        Rows(Scope.ITEM, ("buy",)), Fold.SUM, rule.ItemField("quantity", Kind.NUMBER)
    )
    price = Aggregate(Rows(Scope.ITEM, ("buy",)), Fold.SUM, rule.ItemField("price", Kind.NUMBER))
    lines = bought(1, {"sku": "ignored"}, (Item("a", price=2.0, quantity=3.0), Item("b")))
    bare = bought(2, {"sku": "c", "price": 7.5})
    history = History((lines, bare, bought(3), bought(4, {"sku": 5.0})))
    assert value_of(quantity, history) == 5 * MICRO
    assert value_of(price, history) == from_float(9.5)
    assert value_of(Aggregate(Rows(Scope.ITEM, ("buy",)), Fold.COUNT), history) == 3 * MICRO


def test_the_latest_as_of_wins_and_a_clear_is_a_value() -> None:
    changes = (
        AttributeChange({"x": 1.0}, 5),
        AttributeChange({"x": 2.0}, 4),
        AttributeChange({"x": 3.0}, 5),
    )
    assert value_of(x, History((), changes)) == 3 * MICRO
    assert value_of(x, History((), (*changes, AttributeChange({"x": None}, 5)))) is None
    assert value_of(x, History((), (*changes, AttributeChange({"x": None}, 4)))) == 3 * MICRO


def test_the_next_change_is_the_first_instant_at_which_the_value_differs() -> None:
    count = Aggregate(Rows(Scope.EVENT, ("buy",), None, 50), Fold.COUNT)
    two = rule.Compare(rule.Comparison.GE, count, number(2))
    history = History(tuple(bought(at) for at in (60, 70, 80)))

    def next_of(expression: Expression, now_ms: int = NOW, **rules: Expression) -> int | None:
        return next_change_ms(expression, history, now_ms, lambda _: True, rules=rules)

    assert next_of(count) == 110
    assert next_of(two) == 120
    assert next_of(two, 120) is None
    assert next_of(rule.InAudience("two")) is None
    assert next_of(rule.Not(rule.InAudience("two")), two=two) == 120
    assert next_change_ms(count, history, 110, lambda _: True, settled=False) == 110


def test_the_next_change_is_found_through_any_number_of_audiences_on_audiences() -> None:
    rules: dict[str, Expression] = {
        "level-0": Aggregate(Rows(Scope.EVENT, ("buy",), None, 50), Fold.EXISTS)
    }
    for level in range(1, 1_000):
        below = rule.InAudience(f"level-{level - 1}")
        rules[f"level-{level}"] = rule.All((below, rule.Not(rule.Not(below))))
    top = rule.InAudience("level-999")
    found = next_change_ms(top, History((bought(60),)), NOW, lambda _: True, rules=rules)
    assert found == 110


def test_numbers_have_a_decimal_text() -> None:
    numbers = (0, 1, -1_500_000, 400 * MICRO)
    assert [to_text(n) for n in numbers] == ["0", "0.000001", "-1.5", "400"]
    with pytest.raises(ValueError, match="within"):
        from_float(9.1e9)
