"""Every line of the vocabulary of rules, with what it has to come to worked out by hand."""

from __future__ import annotations

from datetime import date

import pytest

from segcore.history import AttributeChange, Event, History, Item, PropertyValue
from segcore.reference import Value, evaluate, next_change_ms
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    Arithmetic,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    FormText,
    Has,
    ItemField,
    Kind,
    Literal,
    Not,
    OneOf,
    Operator,
    Rows,
    Scope,
    Shift,
    Size,
    TestText,
    TextForm,
    TextTest,
    Truth,
)

NOW = 1_000
number = EventField("x", Kind.NUMBER)
text = EventField("t", Kind.TEXT)
null = Literal(None, None)


def at(occurred_ms: int, type_: str = "a", *items: Item, **properties: PropertyValue) -> Event:
    return Event(f"{type_}{occurred_ms}", type_, occurred_ms, NOW, "crm:1", properties, items)


def value_of(expression: Expression, *events: Event, now_ms: int = NOW, **values: object) -> Value:
    changes = (AttributeChange(values, 0),)  # type: ignore[arg-type]
    return evaluate(expression, History(events, changes), now_ms, lambda _: False)


def rows(**filters: object) -> Rows:
    return Rows(Scope.EVENT, ("a",), **filters)  # type: ignore[arg-type]


def fold(fold: Fold, operand: Expression | None = None, **filters: object) -> Aggregate:
    return Aggregate(rows(**filters), fold, operand)


def count(**filters: object) -> Aggregate:
    return fold(Fold.COUNT, **filters)


def literal(value: float | str | bool) -> Literal:  # noqa: FBT001
    match value:
        case bool():
            return Literal(value, Kind.FLAG)
        case str():
            return Literal(value, Kind.TEXT)
        case _:
            return Literal(round(value * MICRO), Kind.NUMBER)


# Attributes


@pytest.mark.parametrize(
    ("expression", "missing", "present"),
    [
        (Compare(Comparison.EQ, Attribute("t", Kind.TEXT), literal("gold")), False, True),
        (Compare(Comparison.NE, Attribute("t", Kind.TEXT), literal("gold")), True, False),
        (Compare(Comparison.NE, Attribute("t", Kind.TEXT), null), False, True),
        (OneOf(Attribute("t", Kind.TEXT), (literal("x"), literal("gold"))), False, True),
        (OneOf(Attribute("t", Kind.TEXT), (literal("x"),)), False, False),
        (TestText(TextTest.STARTS_WITH, Attribute("t", Kind.TEXT), "go"), False, True),
        (TestText(TextTest.ENDS_WITH, Attribute("t", Kind.TEXT), "go"), False, False),
        (TestText(TextTest.CONTAINS, Attribute("t", Kind.TEXT), "ol"), False, True),
        (Compare(Comparison.LT, Attribute("t", Kind.TEXT), literal("goldx")), False, True),
        (Compare(Comparison.GE, Attribute("n", Kind.NUMBER), literal(2.5)), False, True),
        (Compare(Comparison.GT, Attribute("n", Kind.NUMBER), literal(2.5)), False, False),
        (Truth(Attribute("f", Kind.FLAG)), False, True),
        (Not(Truth(Attribute("f", Kind.FLAG))), True, False),
        (Compare(Comparison.EQ, Attribute("f", Kind.FLAG), literal(value=False)), False, False),
        (Has(literal("b"), Attribute("l", Kind.TEXTS)), False, True),
        (Has(literal("a,b"), Attribute("l", Kind.TEXTS)), False, False),
        (Has(Attribute("t", Kind.TEXT), Attribute("l", Kind.TEXTS)), False, False),
        (Not(Has(literal("b"), Attribute("l", Kind.TEXTS))), True, False),
        (
            Compare(Comparison.EQ, Attribute("l", Kind.TEXTS), Literal(("a", "b"), Kind.TEXTS)),
            False,
            True,
        ),
        (
            Compare(Comparison.EQ, Attribute("l", Kind.TEXTS), Literal(("b", "a"), Kind.TEXTS)),
            False,
            False,
        ),
        (Compare(Comparison.EQ, Size(Attribute("l", Kind.TEXTS)), literal(2)), False, True),
        (Compare(Comparison.EQ, Size(Attribute("e", Kind.TEXT)), literal(2)), False, True),
        (
            Compare(Comparison.LT, Attribute("d", Kind.DATE), Literal(11_017, Kind.DATE)),
            False,
            True,
        ),
        (
            Compare(Comparison.EQ, Attribute("d", Kind.DATE), Literal(11_016, Kind.DATE)),
            False,
            True,
        ),
        (
            Compare(
                Comparison.EQ,
                FormText(TextForm.UPPER, Attribute("u", Kind.TEXT)),
                literal("AZé1"),
            ),
            False,
            True,
        ),
        (
            Compare(
                Comparison.EQ, FormText(TextForm.LOWER, Attribute("U", Kind.TEXT)), literal("azÉ")
            ),
            False,
            True,
        ),
        (
            Compare(Comparison.EQ, Shift(Attribute("w", Kind.TIME), -5), Literal(95, Kind.TIME)),
            False,
            True,
        ),
    ],
)
def test_conditions_on_attributes(
    expression: Expression,
    missing: bool,  # noqa: FBT001
    present: bool,  # noqa: FBT001
) -> None:
    values = {"t": "gold", "n": 2.5, "f": True, "l": ("a", "b"), "e": "é\U0001f600"}
    more = {"d": date(2000, 2, 29), "u": "azé1", "U": "AzÉ", "w": 100}
    assert value_of(expression) is missing
    assert value_of(expression, **values, **more) is present


def test_forms_of_missing_texts_times_and_lists_are_missing() -> None:
    for expression in (
        FormText(TextForm.LOWER, Attribute("t", Kind.TEXT)),
        Size(Attribute("l", Kind.TEXTS)),
        Shift(Attribute("w", Kind.TIME), 1),
        Age(Attribute("w", Kind.TIME)),
    ):
        assert value_of(expression) is None


# Rows and their filters


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"last_ms": 10}, (991, 1_000)),
        ({"older_ms": 10}, (0, 990)),
        ({"last_ms": 100, "older_ms": 10}, (901, 990)),
        ({"last_ms": 10, "older_ms": 10}, None),
        ({"from_times": (Literal(500, Kind.TIME),)}, (500, 1_000)),
        ({"until_times": (Literal(500, Kind.TIME),)}, (0, 499)),
        (
            {"from_times": (Literal(400, Kind.TIME), Literal(300, Kind.TIME))}
            | {"until_times": (Literal(500, Kind.TIME), Literal(600, Kind.TIME))},
            (400, 499),
        ),
        ({"from_times": (Attribute("w", Kind.TIME),)}, (700, 1_000)),
        ({"until_times": (Shift(Attribute("w", Kind.TIME), 5),)}, (0, 704)),
        ({"from_times": (Attribute("none", Kind.TIME),)}, None),
        ({"until_times": (Attribute("none", Kind.TIME),)}, None),
    ],
)
def test_filters_by_time_keep_rows_from_the_first_instant_to_the_last(
    filters: dict[str, object], kept: tuple[int, int] | None
) -> None:
    for occurred_ms in (0, 299, 300, 399, 400, 499, 500, 700, 704, 705, 901, 990, 991, 1_000):
        inside = kept is not None and kept[0] <= occurred_ms <= kept[1]
        found = value_of(count(**filters), at(occurred_ms), w=700)
        assert found == inside * MICRO, occurred_ms
    for edge in kept or ():
        assert value_of(count(**filters), at(edge), w=700) == MICRO


def test_before_the_time_changes_of_an_instant_its_rows_are_as_young_as_before() -> None:
    def unsettled(expression: Expression, event: Event) -> Value:
        return evaluate(expression, History((event,)), NOW, lambda _: False, settled=False)

    assert unsettled(count(last_ms=10), at(990)) == MICRO
    assert unsettled(count(last_ms=10), at(989)) == 0
    assert unsettled(count(older_ms=10), at(990)) == 0
    assert unsettled(count(older_ms=10), at(989)) == MICRO
    assert unsettled(Age(Literal(990, Kind.TIME)), at(0)) == 9


def test_rows_count_from_the_newest_row_of_another_kind() -> None:
    back = Aggregate(Rows(Scope.EVENT, ("b",)), Fold.LATEST)
    since = count(from_times=(back,))
    assert value_of(since, at(100)) == 0
    assert value_of(since, at(100), at(100, "b"), at(99)) == MICRO
    assert value_of(since, at(100), at(100, "b"), at(101, "b")) == 0
    of_value = Aggregate(Rows(Scope.EVENT, ("b",)), Fold.LATEST, EventField("w", Kind.TIME))
    assert value_of(count(from_times=(of_value,)), at(60), at(100, "b", w=50)) == MICRO


def test_a_bound_that_leaves_its_window_keeps_no_rows_any_more() -> None:
    back = Aggregate(Rows(Scope.EVENT, ("b",), last_ms=50), Fold.LATEST)
    found = History((at(990, "b"), at(995)))
    since = Aggregate(rows(from_times=(back,)), Fold.EXISTS)
    assert evaluate(since, found, 1_039, lambda _: False) is True
    assert evaluate(since, found, 1_040, lambda _: False) is False
    assert next_change_ms(since, found, NOW, lambda _: False) == 1_040


# Folds


def test_folds_of_numbers() -> None:
    events = [at(1, x=2.0), at(2, x=2.0), at(3), at(4, x=-1.0), at(5, x="2")]
    assert value_of(fold(Fold.COUNT), *events) == 5 * MICRO
    assert value_of(fold(Fold.SUM, number), *events) == 3 * MICRO
    assert value_of(fold(Fold.MIN, number), *events) == -1 * MICRO
    assert value_of(fold(Fold.MAX, number), *events) == 2 * MICRO
    assert value_of(fold(Fold.AVG, number), *events) == MICRO
    assert value_of(fold(Fold.DISTINCT, number), *events) == 2 * MICRO
    assert value_of(fold(Fold.LATEST), *events) == 5
    assert value_of(fold(Fold.EARLIEST), *events) == 1
    assert value_of(fold(Fold.LATEST, number), *events) == -1 * MICRO
    assert value_of(fold(Fold.EARLIEST, number), *events) == 2 * MICRO
    assert value_of(fold(Fold.EXISTS), *events) is True


def test_folds_over_no_rows_and_over_rows_without_a_value() -> None:
    for events in ((), (at(1),)):
        assert value_of(fold(Fold.SUM, number), *events) == 0
        assert value_of(fold(Fold.DISTINCT, number), *events) == 0
        for each in (Fold.MIN, Fold.MAX, Fold.AVG, Fold.LATEST, Fold.EARLIEST):
            assert value_of(fold(each, number), *events) is None
    assert value_of(fold(Fold.LATEST)) is None
    assert value_of(fold(Fold.EXISTS)) is False
    assert value_of(fold(Fold.COUNT)) == 0


def test_an_average_is_rounded_half_to_even() -> None:
    def average(*micros: int) -> Value:
        events = [at(place, x=micro / MICRO) for place, micro in enumerate(micros)]
        return value_of(fold(Fold.AVG, number), *events)

    assert average(1, 2) == 2
    assert average(2, 3) == 2
    assert average(-1, -2) == -2
    assert average(0, 1) == 0
    assert average(1, 1, 2) == 1
    assert average(1, 2, 2) == 2


def test_an_average_is_exact_where_the_sum_is_beyond_64_bits() -> None:
    most = Arithmetic(Operator.MUL, number, literal(1000))
    average = fold(Fold.AVG, most)
    assert value_of(average, at(1, x=9e9), at(2, x=9e9)) == 9_000_000_000_000 * MICRO
    assert value_of(fold(Fold.SUM, most), at(1, x=9e9), at(2, x=9e9)) is None


def test_sums_reach_a_limit_exactly() -> None:
    rule = Compare(Comparison.GE, fold(Fold.SUM, number), literal(400))
    assert value_of(rule, at(1, x=399.99)) is False
    assert value_of(rule, at(1, x=399.99), at(2, x=0.01)) is True
    assert value_of(rule, *[at(place, x=0.1) for place in range(4_000)]) is True
    assert value_of(rule, *[at(place, x=0.1) for place in range(3_999)]) is False


def test_negative_amounts_count_and_nothing_is_clipped() -> None:
    net = Arithmetic(
        Operator.SUB,
        fold(Fold.SUM, number),
        Aggregate(Rows(Scope.EVENT, ("b",)), Fold.SUM, number),
    )
    assert value_of(net, at(1, x=10.0), at(2, x=-3.5), at(3, "b", x=20.0)) == -13_500_000


def test_extremes_of_times_and_ends_of_any_kind() -> None:
    w, f = EventField("w", Kind.TIME), EventField("f", Kind.FLAG)
    events = [at(1, w=70, f=True), at(2, w=60), at(3, f=False)]
    assert value_of(fold(Fold.MIN, w), *events) == 60
    assert value_of(fold(Fold.MAX, w), *events) == 70
    assert value_of(fold(Fold.LATEST, f), *events) is False
    assert value_of(fold(Fold.EARLIEST, f), *events) is True
    l_, d = EventField("l", Kind.TEXTS), EventField("d", Kind.DATE)
    two = [at(1, l=("a",), d=date(1970, 1, 2)), at(2, l=("a", "b")), at(3, l=("a",))]
    assert value_of(fold(Fold.DISTINCT, l_), *two) == 2 * MICRO
    assert value_of(fold(Fold.LATEST, d), *two) == 1


def test_of_rows_at_one_instant_the_later_received_then_the_greater_id_then_the_later_line() -> (
    None
):
    def event(event_id: str, received_ms: int, value: str) -> Event:
        return Event(event_id, "a", 5, received_ms, "crm:1", {"t": value})

    def ends(*events: Event) -> tuple[Value, Value]:
        return value_of(fold(Fold.EARLIEST, text), *events), value_of(
            fold(Fold.LATEST, text), *events
        )

    assert ends(event("b", 6, "early"), event("a", 7, "late")) == ("early", "late")
    assert ends(event("b", 6, "greater"), event("a", 6, "lesser")) == ("lesser", "greater")
    assert ends(event("é", 6, "greater"), event("z", 6, "lesser")) == ("lesser", "greater")
    lines = Aggregate(Rows(Scope.ITEM, ("a",)), Fold.LATEST, ItemField("sku", Kind.TEXT))
    assert value_of(lines, at(5, "a", Item("x"), Item("y"))) == "y"


# Items


def test_rows_of_items_see_their_event_and_their_line() -> None:
    in_store = Compare(Comparison.EQ, EventField("channel", Kind.TEXT), literal("store"))
    spent = Arithmetic(
        Operator.MUL, ItemField("price", Kind.NUMBER), ItemField("quantity", Kind.NUMBER)
    )
    total = Aggregate(Rows(Scope.ITEM, ("a",), in_store), Fold.SUM, spent)
    lines = (Item("x", price=2.5, quantity=3.0), Item("y"), Item("z", price=1.0, quantity=-1.0))
    assert value_of(total, at(1, "a", *lines, channel="store")) == 6_500_000
    assert value_of(total, at(1, "a", *lines, channel="web")) == 0


def test_events_and_lines_are_different_numbers_of_rows() -> None:
    dresses = Compare(Comparison.EQ, ItemField("category", Kind.TEXT), literal("dresses"))
    looks = Rows(Scope.ITEM, ("a",), dresses)
    both = at(1, "a", Item("x", "dresses"), Item("y", "dresses"))
    assert value_of(Aggregate(looks, Fold.COUNT), both) == 2 * MICRO
    event_id = EventField("id", Kind.TEXT)
    assert value_of(Aggregate(looks, Fold.DISTINCT, event_id), both) == MICRO
