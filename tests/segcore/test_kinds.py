"""What is no well-formed rule is refused, with the place of the node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segcore.kinds import check_condition, check_rule, kind_of
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    All,
    Anniversary,
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
    FormText,
    Has,
    InAudience,
    ItemField,
    Kind,
    Literal,
    Not,
    OneOf,
    Operator,
    Rows,
    Scope,
    Shift,
    Since,
    Size,
    TestText,
    TextForm,
    TextTest,
    TriggerField,
    Truth,
)

DAY = 86_400_000
TEN_YEARS = 3_653 * DAY
n = Attribute("n", Kind.NUMBER, at=3)
t = Attribute("t", Kind.TEXT, at=4)
w = Attribute("w", Kind.TIME, at=5)
d = Attribute("d", Kind.DATE, at=6)
tags = Attribute("l", Kind.TEXTS, at=7)
flag = Attribute("f", Kind.FLAG, at=8)
one = Literal(MICRO, Kind.NUMBER, at=9)
span = Literal(DAY, Kind.SPAN, at=10)
null = Literal(None, None)
x = EventField("x", Kind.NUMBER, at=11)
sku = ItemField("sku", Kind.TEXT, at=12)
rows = Rows(Scope.EVENT, ("a",), at=2)
items = Rows(Scope.ITEM, ("a",), at=2)
latest = Aggregate(rows, Fold.LATEST, at=1)


def exists(**filters: object) -> Aggregate:
    return Aggregate(replace(rows, **filters), Fold.EXISTS, at=1)  # type: ignore[arg-type]


def where(condition: Expression) -> Aggregate:
    return exists(where=condition)


def equal(left: Expression, right: Expression, at: int = 1) -> Compare:
    return Compare(Comparison.EQ, left, right, at)


def nested(levels: int) -> Rows:
    found = rows
    for _ in range(levels):
        found = replace(rows, follows=(Follow(found, 5, absent=False, at=13),))
    return found


@pytest.mark.parametrize(
    "rule",
    [
        Compare(Comparison.GE, Age(latest), span),
        Compare(Comparison.NE, span, Age(w)),
        Anniversary(d),
        Anniversary(Shift(w, -5)),
        Compare(Comparison.LT, Bucket("s"), one),
        Has(FormText(TextForm.LOWER, t), tags),
        equal(tags, Literal(("a",), Kind.TEXTS)),
        equal(Size(tags), Size(t)),
        Compare(Comparison.GT, Aggregate(rows, Fold.MAX, EventField("w", Kind.TIME)), w),
        equal(Aggregate(rows, Fold.DISTINCT, EventField("l", Kind.TEXTS)), one),
        Truth(Aggregate(rows, Fold.LATEST, EventField("f", Kind.FLAG))),
        exists(last_ms=TEN_YEARS, older_ms=1, calendar_days=3_653),
        exists(from_times=(Shift(latest, 5), w), until_times=(Literal(5, Kind.TIME),)),
        Aggregate(nested(8), Fold.EXISTS),
        AnyOf(tuple(exists() for _ in range(64))),
        OneOf(t, tuple(Literal(str(place), Kind.TEXT) for place in range(1_900))),
    ],
)
def test_what_is_well_formed_is_taken(rule: Expression) -> None:
    check_rule(rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (one, "Literal at offset 9: expected a value of kind flag, not number"),
        (Age(w, at=1), "offset 1: expected a value of kind flag"),
        (equal(Age(w), Age(w)), "Compare at offset 1: expected an age beside a constant span"),
        (equal(Age(w), null), "Compare at offset 1: expected an age beside a constant span"),
        (equal(span, span), "Compare at offset 1: expected an age beside a constant span"),
        (equal(Age(n), span), "offset 3: expected a value of kind time, not number"),
        (equal(Arithmetic(Operator.ADD, Age(w, at=2), one), one), "offset 2: .* kind number"),
        (where(equal(Age(EventField("w", Kind.TIME), at=7), span)), "offset 7: expected no age"),
        (where(Anniversary(EventField("d", Kind.DATE), at=7)), "offset 7: expected no anniv"),
        (where(equal(Bucket("s", at=7), one)), "Bucket at offset 7: expected no bucket below rows"),
        (where(equal(n, one)), "Attribute at offset 3: expected no profile below rows"),
        (where(InAudience("a", at=7)), "InAudience at offset 7: expected no audience below rows"),
        (where(exists()), "Aggregate at offset 1: expected no rows below rows"),
        (where(x), "offset 11: expected a value of kind flag, not number"),
        (Anniversary(n), "offset 3: expected a value of kind date or time, not number"),
        (Has(one, tags), "offset 9: expected a value of kind text, not number"),
        (Has(t, t), "offset 4: expected a value of kind texts, not text"),
        (Compare(Comparison.LT, tags, tags, 1), "offset 1: expected no order of kind texts"),
        (Compare(Comparison.LT, flag, flag, 1), "offset 1: expected no order of kind flag"),
        (equal(t, tags), "offset 1: expected two values of one kind, not text and texts"),
        (equal(w, d), "offset 1: expected two values of one kind, not time and date"),
        (OneOf(tags, (), at=1), "offset 1: expected an operand of a single value"),
        (OneOf(t, (one,)), "offset 9: expected an option of kind text"),
        (equal(Size(n), one), "offset 3: expected a value of kind text or texts, not number"),
        (TestText(TextTest.CONTAINS, n, "a"), "offset 3: expected a value of kind text"),
        (equal(FormText(TextForm.LOWER, n), t), "offset 3: expected a value of kind text"),
        (equal(Shift(d, 5), w), "offset 6: expected a value of kind time, not date"),
        (equal(Shift(w, 10**16, at=7), w), "offset 7: expected from"),
        (Truth(n), "offset 3: expected a value of kind flag"),
        (Not(n), "offset 3: expected a value of kind flag"),
        (All((), at=1), "offset 1: expected at least one operand"),
        (equal(Attribute("s", Kind.SPAN, at=1), Attribute("s", Kind.SPAN)), "constant span"),
        (Truth(Aggregate(rows, Fold.EXISTS, x, at=1)), "offset 1: expected no operand for exists"),
        (equal(Aggregate(rows, Fold.SUM, at=7), one), "offset 7: expected an operand for sum"),
        (equal(Aggregate(rows, Fold.AVG, sku, at=7), one), "offset 12: expected .* kind number"),
        (equal(Aggregate(rows, Fold.MIN, sku), t), "offset 12: expected .* kind number or time"),
        (equal(Aggregate(rows, Fold.LATEST, sku), t), "offset 12: expected item fields below rows"),
        (equal(Aggregate(rows, Fold.LATEST, n), n), "offset 3: expected no profile below rows"),
        (exists(types=()), "Rows at offset 2: expected at least one event type"),
        (exists(last_ms=0), "Rows at offset 2: expected from 1 to"),
        (exists(last_ms=TEN_YEARS + 1), "Rows at offset 2: expected from 1 to"),
        (exists(older_ms=0), "Rows at offset 2: expected from 1 to"),
        (exists(calendar_days=0), "Rows at offset 2: expected 1 to 3653 calendar days"),
        (exists(calendar_days=3_654), "Rows at offset 2: expected 1 to 3653 calendar days"),
        (exists(key=x), "offset 11: expected a value of kind text, not number"),
        (exists(key=t), "offset 4: expected no profile below rows"),
        (exists(from_times=(d,)), "offset 6: expected a value of kind time"),
        (exists(from_times=(EventField("w", Kind.TIME, at=7),)), "offset 7: expected a constant"),
        (
            exists(until_times=(Aggregate(rows, Fold.MAX, EventField("w", Kind.TIME), at=7),)),
            "offset 7: expected a constant, an attribute",
        ),
        (
            exists(follows=(Follow(items, 0, absent=True, at=13),)),
            "Follow at offset 13: expected from 1 to",
        ),
        (
            exists(follows=(Follow(replace(items, key=sku), 5, absent=True, at=13),)),
            "Follow at offset 13: expected a key on both sides or on neither",
        ),
        (
            exists(key=EventField("t", Kind.TEXT), follows=(Follow(items, 5, absent=True, at=13),)),
            "Follow at offset 13: expected a key on both sides or on neither",
        ),
        (
            exists(follows=(Follow(replace(items, where=x), 5, absent=True),)),
            "offset 11: expected a value of kind flag",
        ),
        (Aggregate(nested(9), Fold.EXISTS), "offset 13: expected at most 8 levels of followedBy"),
        (AnyOf(tuple(exists() for _ in range(65))), "expected at most 64 aggregates"),
        (
            OneOf(t, tuple(Literal(str(place), Kind.TEXT) for place in range(2_000))),
            "expected at most 2000 nodes",
        ),
        (equal(Literal(("a\x1fb",), Kind.TEXTS, at=1), tags), "offset 1: expected texts without"),
        (equal(Literal("a", Kind.NUMBER, at=1), n), "offset 1: expected a value of kind number"),
        (equal(Literal(2**63, Kind.NUMBER, at=1), n), "offset 1: expected a number of 64 bits"),
        (equal(Literal(10**15 + 1, Kind.TIME, at=1), w), "offset 1: expected from"),
        (exists(since=Since.ENTRY), "Rows at offset 2: expected a rule that speaks of a person"),
        (equal(TriggerField("x", Kind.TEXT, at=1), t), "offset 1: expected a rule that speaks"),
    ],
)
def test_a_mistake_is_refused_with_its_place(rule: Expression, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rule(rule)


def test_rules_are_as_deep_as_the_limit_and_no_deeper() -> None:
    rule: Expression = Truth(flag)
    for _ in range(30):
        rule = Not(rule)
    check_rule(rule)
    with pytest.raises(ValueError, match="expected at most 32 levels of nodes"):
        check_rule(Not(rule))


def test_conditions_of_journeys_may_take_times_of_their_trigger() -> None:
    occurred = TriggerField("occurred_at", Kind.TIME)
    check_condition(exists(from_times=(Shift(occurred, 5),), since=Since.TRIGGER))


def test_every_form_has_its_kind() -> None:
    kinds = {
        Age(w): Kind.SPAN,
        Shift(w, 1): Kind.TIME,
        Size(t): Kind.NUMBER,
        FormText(TextForm.LOWER, t): Kind.TEXT,
        Has(t, tags): Kind.FLAG,
        Anniversary(d): Kind.FLAG,
        Bucket("s"): Kind.NUMBER,
        latest: Kind.TIME,
        Aggregate(items, Fold.EARLIEST, sku): Kind.TEXT,
        Aggregate(rows, Fold.MIN, EventField("w", Kind.TIME)): Kind.TIME,
        Aggregate(rows, Fold.AVG, x): Kind.NUMBER,
        Aggregate(items, Fold.DISTINCT, sku): Kind.NUMBER,
        null: None,
    }
    assert {node: kind_of(node) for node in kinds} == kinds
