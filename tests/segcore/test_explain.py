"""Explanations: each clause with its value, its witnesses and its next change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segcore.describe import describe
from segcore.explain import Clause, explain
from segcore.history import Event, History, Item
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
    Size,
    TestText,
    TextForm,
    TextTest,
    Truth,
)

NOW = 1000
visits = Rows(Scope.EVENT, ("visit",))
bought = Aggregate(Rows(Scope.EVENT, ("purchase",), None, 100), Fold.COUNT, at=0)
lines = Aggregate(Rows(Scope.ITEM, ("purchase",)), Fold.EXISTS, at=50)
two = Literal(2 * MICRO, Kind.NUMBER)


def purchase(event_id: str, occurred_ms: int, *items: Item) -> Event:
    return Event(event_id, "purchase", occurred_ms, NOW, f"crm:{event_id}", {}, items)


def explained(rule: Expression, *events: Event) -> Clause:
    return explain(rule, History(events), NOW, lambda _: True)


def test_each_clause_has_its_value_and_its_next_change() -> None:
    rule = All((Compare(Comparison.GE, bought, two, at=10), Not(lines, at=49)), at=5)
    clause = explained(rule, purchase("a", 950), purchase("b", 940), purchase("c", 890))
    assert (clause.at, clause.value, clause.next_change_ms) == (5, True, 1040)
    compare, negation = clause.children
    assert (compare.at, compare.value, compare.next_change_ms) == (10, True, 1040)
    (count,) = compare.children
    assert (count.value, count.value_kind, count.row_count) == (2 * MICRO, Kind.NUMBER, 2)
    assert count.node is bought
    assert (negation.value, negation.next_change_ms) == (True, None)
    assert negation.children[0].value is False


def test_witnesses_are_the_newest_rows_and_of_one_instant_the_greater_id_and_later_line() -> None:
    events = [purchase(f"e{place}", 10 * place) for place in range(4)]
    events.append(purchase("f", 30, Item("x"), Item("y")))
    rows = explained(Aggregate(Rows(Scope.EVENT, ("purchase",)), Fold.EXISTS), *events)
    assert [witness.event_id for witness in rows.witnesses] == ["f", "e3", "e2", "e1", "e0"]
    witnesses = explained(lines, *events).witnesses
    assert [(w.event_id, w.sku, w.came_with) for w in witnesses] == [
        ("f", "y", "crm:f"),
        ("f", "x", "crm:f"),
    ]
    many = [purchase(f"e{place}", place) for place in range(9)]
    rows = explained(Aggregate(Rows(Scope.EVENT, ("purchase",)), Fold.EXISTS), *many)
    assert (rows.row_count, len(rows.witnesses)) == (9, 5)


def test_each_clause_changes_at_its_own_instant() -> None:
    aged = Compare(Comparison.GE, Age(Aggregate(visits, Fold.LATEST)), Literal(100, Kind.SPAN))
    older = Aggregate(replace(visits, older_ms=60), Fold.EXISTS)
    rule = AnyOf((aged, older, InAudience("recent"), Truth(vip)))
    recent = Aggregate(replace(visits, last_ms=75), Fold.EXISTS)
    history = History((Event("v", "visit", 950, 950, "crm:1", {}),))
    found = explain(rule, history, NOW, lambda _: True, rules={"recent": recent})
    assert (found.value, found.next_change_ms) == (True, None)
    assert [each.next_change_ms for each in found.children] == [1050, 1010, 1025, None]
    (age,) = found.children[0].children
    assert (age.value, age.value_kind, age.next_change_ms) == (50, Kind.SPAN, None)
    assert age.children[0].value == 950


total = EventField("total", Kind.NUMBER)
DAY = 86_400_000
sku = ItemField("sku", Kind.TEXT)
price = ItemField("price", Kind.NUMBER)
quantity = ItemField("quantity", Kind.NUMBER)
vip = Attribute("loyalty.vip", Kind.FLAG)
tier = Attribute("loyalty.tier", Kind.TEXT)
dress = Compare(Comparison.EQ, ItemField("brand", Kind.TEXT), Literal('A "B"', Kind.TEXT))


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (
            Aggregate(
                Rows(Scope.ITEM, ("purchase", "pos_sale"), dress, 365 * 86_400_000),
                Fold.SUM,
                Arithmetic(Operator.MUL, price, quantity),
            ),
            (
                'items("purchase", "pos_sale").where(item.brand == "A \\"B\\"").last(days(365))'
                ".sum(item.price * item.quantity)"
            ),
        ),
        (Not(All((Truth(vip), InAudience("x")))), '!(profile.loyalty.vip && audience("x"))'),
        (
            AnyOf((All((Truth(vip), Not(Truth(vip)))), AnyOf((InAudience("a"), InAudience("b"))))),
            'profile.loyalty.vip && !profile.loyalty.vip || (audience("a") || audience("b"))',
        ),
        (
            Arithmetic(
                Operator.SUB, total, Arithmetic(Operator.ADD, total, Literal(-500_000, Kind.NUMBER))
            ),
            "event.total - (event.total + -0.5)",
        ),
        (
            OneOf(tier, (Literal("gold", Kind.TEXT), Literal("é", Kind.TEXT))),
            'profile.loyalty.tier in ["gold", "é"]',
        ),
        (TestText(TextTest.STARTS_WITH, tier, "g\n"), 'profile.loyalty.tier.startsWith("g\\n")'),
        (Compare(Comparison.NE, tier, Literal(None, None)), "profile.loyalty.tier != null"),
        (
            Compare(Comparison.EQ, Truth(vip), Literal(value=True, kind=Kind.FLAG)),
            "(profile.loyalty.vip == true) == true",
        ),
        (
            Compare(Comparison.EQ, Compare(Comparison.LT, total, two), Truth(vip)),
            "(event.total < 2) == (profile.loyalty.vip == true)",
        ),
        (
            Compare(Comparison.GE, EventField("occurred_at", Kind.TIME), Literal(1_500, Kind.TIME)),
            'event.occurred_at >= timestamp("1970-01-01T00:00:01.500Z")',
        ),
        (
            Aggregate(Rows(Scope.EVENT, ("a",), None, 90_500), Fold.EXISTS),
            'events("a").last(duration("90.5s")).exists()',
        ),
        (
            Aggregate(Rows(Scope.EVENT, ("a",), None, 90 * 60_000), Fold.COUNT),
            'events("a").last(minutes(90)).count()',
        ),
        (
            Aggregate(
                Rows(
                    Scope.ITEM,
                    ("add_to_cart",),
                    None,
                    14 * DAY,
                    older_ms=3 * DAY,
                    key=sku,
                    follows=(
                        Follow(Rows(Scope.ITEM, ("purchase",), key=sku), None, absent=True),
                        Follow(Rows(Scope.ITEM, ("visit",), key=sku), 2 * DAY, absent=False),
                    ),
                ),
                Fold.EXISTS,
            ),
            (
                'items("add_to_cart").last(days(14)).olderThan(days(3)).by(item.sku)'
                '.notFollowedBy(items("purchase").by(item.sku))'
                '.followedBy(items("visit").by(item.sku), days(2)).exists()'
            ),
        ),
        (
            Aggregate(
                Rows(
                    Scope.EVENT,
                    ("a",),
                    calendar_days=7,
                    from_times=(Attribute("signup_at", Kind.TIME), Literal(0, Kind.TIME)),
                    until_times=(Shift(Attribute("signup_at", Kind.TIME), -DAY),),
                ),
                Fold.LATEST,
            ),
            (
                'events("a").calendarDays(7)'
                ".between(profile.signup_at, profile.signup_at - days(1))"
                '.since(timestamp("1970-01-01T00:00:00Z")).latest()'
            ),
        ),
        (
            Aggregate(
                Rows(Scope.EVENT, ("a",), until_times=(Attribute("signup_at", Kind.TIME),)),
                Fold.DISTINCT,
                EventField("id", Kind.TEXT),
            ),
            (
                'events("a").between(timestamp("0001-01-01T00:00:00Z"), profile.signup_at)'
                ".distinct(event.id)"
            ),
        ),
        (
            Compare(
                Comparison.GE,
                Age(Aggregate(Rows(Scope.EVENT, ("a",)), Fold.LATEST)),
                Literal(90 * DAY, Kind.SPAN),
            ),
            'age(events("a").latest()) >= days(90)',
        ),
        (
            Compare(Comparison.LT, Age(Attribute("w", Kind.TIME)), Literal(-DAY, Kind.SPAN)),
            "age(profile.w) < -days(1)",
        ),
        (
            Compare(Comparison.LT, Bucket('"s'), Literal(100_000, Kind.NUMBER)),
            'bucket("\\"s") < 0.1',
        ),
        (Not(Anniversary(Attribute("born", Kind.DATE))), "!anniversary(profile.born)"),
        (
            Compare(Comparison.LT, Attribute("born", Kind.DATE), Literal(11_016, Kind.DATE)),
            'profile.born < date("2000-02-29")',
        ),
        (
            Not(Has(FormText(TextForm.LOWER, tier), Attribute("tags", Kind.TEXTS))),
            "!(profile.loyalty.tier.lowerAscii() in profile.tags)",
        ),
        (
            Compare(Comparison.EQ, Attribute("tags", Kind.TEXTS), Literal(("a", '"'), Kind.TEXTS)),
            'profile.tags == ["a", "\\""]',
        ),
        (Compare(Comparison.GE, Size(tier), two), "size(profile.loyalty.tier) >= 2"),
    ],
)
def test_a_rule_reads_as_it_would_be_written(expression: Expression, text: str) -> None:
    assert describe(expression) == text
