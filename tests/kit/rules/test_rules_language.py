"""Texts, lists, dates and times: what each form comes to, and the way back from its description."""

from __future__ import annotations

import pytest

from segcore.describe import describe
from segcore.kinds import check_rule
from segcore.rule import (
    Age,
    Aggregate,
    Anniversary,
    Arithmetic,
    Attribute,
    Bucket,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    FormText,
    Has,
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
from segcore.rule_json import from_json, to_json, without_offsets
from services.kit.rules.clause import clause_text
from services.kit.rules.compiler import compile_rule
from services.kit.rules.vocabulary import Vocabulary

DAY_MS = 86_400_000
BORN = Attribute("birth_date", Kind.DATE)
CITY = Attribute("city", Kind.TEXT)
SIGNUP = Attribute("signup_at", Kind.TIME)
TAGS = Attribute("tags", Kind.TEXTS)
TOTAL = EventField("total", Kind.NUMBER)
LABELS = EventField("labels", Kind.TEXTS)
SHIPPED = EventField("ship.at", Kind.TIME)
PURCHASES = Rows(Scope.EVENT, ("purchase",))
NULL = Literal(None, None)


def number(units: float) -> Literal:
    return Literal(round(units * 1_000_000), Kind.NUMBER)


def text(value: str) -> Literal:
    return Literal(value, Kind.TEXT)


def texts(*values: str) -> Literal:
    return Literal(values, Kind.TEXTS)


def span(days: float) -> Literal:
    return Literal(round(days * DAY_MS), Kind.SPAN)


def time(at_ms: int) -> Literal:
    return Literal(at_ms, Kind.TIME)


def compare(left: Expression, comparison: str, right: Expression) -> Compare:
    return Compare(Comparison(comparison), left, right)


def fold(name: str, operand: Expression | None = None, rows: Rows = PURCHASES) -> Aggregate:
    return Aggregate(rows, Fold(name), operand)


TREES: dict[str, Expression] = {
    # Texts.
    'profile.city.lowerAscii() == "x"': compare(FormText(TextForm.LOWER, CITY), "==", text("x")),
    'profile.city.upperAscii().startsWith("M")': TestText(
        TextTest.STARTS_WITH, FormText(TextForm.UPPER, CITY), "M"
    ),
    'profile.city.lowerAscii() in ["a", "b"]': OneOf(
        FormText(TextForm.LOWER, CITY), (text("a"), text("b"))
    ),
    "size(profile.city) > 3": compare(Size(CITY), ">", number(3)),
    # Lists of texts.
    '"vip" in profile.tags': Has(text("vip"), TAGS),
    "profile.city in profile.tags": Has(CITY, TAGS),
    "size(profile.tags) + 1 == 2": compare(
        Arithmetic(Operator.ADD, Size(TAGS), number(1)), "==", number(2)
    ),
    'profile.tags == ["a", "b"]': compare(TAGS, "==", texts("a", "b")),
    '["a"] == ["b"]': compare(texts("a"), "==", texts("b")),
    "[] != null": compare(texts(), "!=", NULL),
    "[] != profile.tags": compare(texts(), "!=", TAGS),
    "has(profile.tags)": compare(TAGS, "!=", NULL),
    'events("purchase").where("x" in event.labels).exists()': fold(
        "exists", None, Rows(Scope.EVENT, ("purchase",), Has(text("x"), LABELS))
    ),
    # Dates and times.
    'profile.birth_date < date("1970-01-31")': compare(BORN, "<", Literal(30, Kind.DATE)),
    'profile.birth_date in [date("1970-01-02")]': OneOf(BORN, (Literal(1, Kind.DATE),)),
    "profile.birth_date == null": compare(BORN, "==", NULL),
    'profile.signup_at + days(3) > timestamp("1970-01-01T00:00:01Z")': compare(
        Shift(SIGNUP, 3 * DAY_MS), ">", time(1000)
    ),
    "profile.signup_at - hours(2) < profile.signup_at": compare(
        Shift(SIGNUP, -7_200_000), "<", SIGNUP
    ),
    'events("purchase").where(event.occurred_at > event.ship.at + days(1)).exists()': fold(
        "exists",
        None,
        Rows(
            Scope.EVENT,
            ("purchase",),
            compare(EventField("occurred_at", Kind.TIME), ">", Shift(SHIPPED, DAY_MS)),
        ),
    ),
    # What changes with time, and what differs from person to person.
    "age(profile.signup_at) >= days(10)": compare(Age(SIGNUP), ">=", span(10)),
    'duration("1d12h") > age(profile.signup_at)': compare(span(1.5), ">", Age(SIGNUP)),
    "age(profile.signup_at) > -days(3)": compare(Age(SIGNUP), ">", span(-3)),
    "age(profile.signup_at) < hours(-6)": compare(Age(SIGNUP), "<", span(-0.25)),
    'age(profile.signup_at) <= duration("0s")': compare(Age(SIGNUP), "<=", span(0)),
    'age(events("purchase").latest() + days(1)) >= minutes(90)': compare(
        Age(Shift(fold("latest"), DAY_MS)), ">=", span(1 / 16)
    ),
    "anniversary(profile.birth_date)": Anniversary(BORN),
    "!anniversary(profile.signup_at)": Not(Anniversary(SIGNUP)),
    'bucket("spring") < 0.10': compare(Bucket("spring"), "<", number(0.1)),
    # Ends of chains.
    'events("purchase").min(event.total) > 3': compare(fold("min", TOTAL), ">", number(3)),
    'events("purchase").max(event.ship.at) > profile.signup_at': compare(
        fold("max", SHIPPED), ">", SIGNUP
    ),
    'events("purchase").avg(event.total * 2) <= 3': compare(
        fold("avg", Arithmetic(Operator.MUL, TOTAL, number(2))), "<=", number(3)
    ),
    'events("purchase").distinct(event.id) >= 2': compare(
        fold("distinct", EventField("id", Kind.TEXT)), ">=", number(2)
    ),
    'events("purchase").latest() > events("return").earliest()': compare(
        fold("latest"), ">", fold("earliest", None, Rows(Scope.EVENT, ("return",)))
    ),
    'events("purchase").latest(event.channel) == "web"': compare(
        fold("latest", EventField("channel", Kind.TEXT)), "==", text("web")
    ),
    '"x" in events("purchase").earliest(event.labels)': Has(text("x"), fold("earliest", LABELS)),
    'events("purchase").latest(event.gift)': Truth(fold("latest", EventField("gift", Kind.FLAG))),
    'events("purchase").latest(event.due) == null': compare(
        fold("latest", EventField("due", Kind.DATE)), "==", NULL
    ),
}


@pytest.mark.parametrize("rule", TREES)
def test_a_rule_becomes_its_tree(rule: str, vocabulary: Vocabulary) -> None:
    tree = compile_rule(rule, vocabulary)
    assert without_offsets(tree) == TREES[rule]
    check_rule(tree)
    assert from_json(to_json(tree)) == tree
    assert clause_text(rule, tree) == rule


@pytest.mark.parametrize("rule", TREES)
def test_a_description_says_the_same(rule: str, vocabulary: Vocabulary) -> None:
    said = describe(TREES[rule])
    assert without_offsets(compile_rule(said, vocabulary)) == TREES[rule]


def test_both_ways_to_say_a_size_are_one(vocabulary: Vocabulary) -> None:
    trees = [
        without_offsets(compile_rule(f"{said} > 2", vocabulary))
        for said in ("size(profile.tags)", "profile.tags.size()", "(profile.tags).size()")
    ]
    assert trees == [compare(Size(TAGS), ">", number(2))] * 3
