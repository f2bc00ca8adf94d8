"""Filters of rows and sequences of them: what each comes to, and the way back."""

from __future__ import annotations

import itertools

import pytest

from segcore.describe import describe
from segcore.kinds import check_rule
from segcore.nodes import nodes_of
from segcore.rule import (
    Aggregate,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    ItemField,
    Kind,
    Literal,
    Rows,
    Scope,
    Shift,
    Truth,
)
from segcore.rule_json import from_json, to_json, without_offsets
from services.kit.rules.clause import clause_text
from services.kit.rules.compiler import compile_rule
from services.kit.rules.vocabulary import Vocabulary

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SIGNUP = Attribute("signup_at", Kind.TIME)
SKU = ItemField("sku", Kind.TEXT)
ORDER = EventField("order_id", Kind.TEXT)
GIFT = Truth(EventField("gift", Kind.FLAG))
JANUARY = Literal(1_767_225_600_000, Kind.TIME)


def exists(rows: Rows) -> Aggregate:
    return Aggregate(rows, Fold.EXISTS)


def latest(event_type: str) -> Aggregate:
    return Aggregate(Rows(Scope.EVENT, (event_type,)), Fold.LATEST)


def purchases(**given: object) -> Rows:
    return Rows(Scope.EVENT, ("purchase",), **given)  # type: ignore[arg-type]


def items(*types: str, **given: object) -> Rows:
    return Rows(Scope.ITEM, types, **given)  # type: ignore[arg-type]


CART = 'items("add_to_cart")'
TREES: dict[str, Expression] = {
    # Filters by time.
    'events("purchase").olderThan(days(3)).exists()': exists(purchases(older_ms=3 * DAY_MS)),
    'events("purchase").olderThan(days(3)).olderThan(hours(5)).exists()': exists(
        purchases(older_ms=3 * DAY_MS)
    ),
    'events("purchase").calendarDays(7).calendarDays(30).exists()': exists(
        purchases(calendar_days=7)
    ),
    'events("purchase").since(profile.signup_at).exists()': exists(purchases(from_times=(SIGNUP,))),
    'events("purchase").since(events("return").latest()).exists()': exists(
        purchases(from_times=(latest("return"),))
    ),
    'events("purchase").between(profile.signup_at, profile.signup_at + days(30)).exists()': exists(
        purchases(from_times=(SIGNUP,), until_times=(Shift(SIGNUP, 30 * DAY_MS),))
    ),
    'events("purchase").since(timestamp("2026-01-01T00:00:00Z")).last(days(2))'
    ".since(profile.signup_at).exists()": exists(
        purchases(last_ms=2 * DAY_MS, from_times=(JANUARY, SIGNUP))
    ),
    # Sequences.
    'events("purchase").followedBy(events("return")).exists()': exists(
        purchases(follows=(Follow(Rows(Scope.EVENT, ("return",)), None, absent=False),))
    ),
    'events("purchase").notFollowedBy(events("return").where(event.total > 3), days(3)).exists()': (
        exists(
            purchases(
                follows=(
                    Follow(
                        Rows(
                            Scope.EVENT,
                            ("return",),
                            Compare(
                                Comparison.GT,
                                EventField("total", Kind.NUMBER),
                                Literal(3_000_000, Kind.NUMBER),
                            ),
                        ),
                        3 * DAY_MS,
                        absent=True,
                    ),
                )
            )
        )
    ),
    f'{CART}.last(days(14)).by(item.sku).notFollowedBy(items("purchase", "return").by(item.sku))'
    ".distinct(item.sku) >= 2": Compare(
        Comparison.GE,
        Aggregate(
            items(
                "add_to_cart",
                last_ms=14 * DAY_MS,
                key=SKU,
                follows=(Follow(items("purchase", "return", key=SKU), None, absent=True),),
            ),
            Fold.DISTINCT,
            SKU,
        ),
        Literal(2_000_000, Kind.NUMBER),
    ),
    'events("purchase").by(event.order_id)'
    '.followedBy(items("return").by(event.order_id)).exists()': (
        exists(
            purchases(key=ORDER, follows=(Follow(items("return", key=ORDER), None, absent=False),))
        )
    ),
    f'{CART}.followedBy(events("purchase").followedBy(events("return"), days(2)), hours(1))'
    ".exists()": (
        exists(
            items(
                "add_to_cart",
                follows=(
                    Follow(
                        purchases(
                            follows=(
                                Follow(Rows(Scope.EVENT, ("return",)), 2 * DAY_MS, absent=False),
                            )
                        ),
                        HOUR_MS,
                        absent=False,
                    ),
                ),
            )
        )
    ),
    'events("purchase").followedBy(events("return")).notFollowedBy(events("store_entry"))'
    ".where(event.gift).exists()": exists(
        purchases(
            where=GIFT,
            follows=(
                Follow(Rows(Scope.EVENT, ("return",)), None, absent=False),
                Follow(Rows(Scope.EVENT, ("store_entry",)), None, absent=True),
            ),
        )
    ),
}


@pytest.mark.parametrize("rule", TREES)
def test_a_rule_becomes_its_tree(rule: str, vocabulary: Vocabulary) -> None:
    tree = compile_rule(rule, vocabulary)
    assert without_offsets(tree) == TREES[rule]
    check_rule(tree)
    assert from_json(to_json(tree)) == tree


@pytest.mark.parametrize("rule", TREES)
def test_a_description_says_the_same(rule: str, vocabulary: Vocabulary) -> None:
    said = describe(TREES[rule])
    assert without_offsets(compile_rule(said, vocabulary)) == TREES[rule]


def test_filters_commute(vocabulary: Vocabulary) -> None:
    filters = [
        ".last(days(3))",
        ".olderThan(days(1))",
        ".calendarDays(2)",
        ".by(event.order_id)",
        ".where(event.gift)",
        '.followedBy(events("return").by(event.order_id), days(1))',
    ]
    orders = itertools.islice(itertools.permutations(filters), 0, None, 47)
    trees = {
        without_offsets(compile_rule(f'events("purchase"){"".join(order)}.exists()', vocabulary))
        for order in orders
    }
    assert len(trees) == 1


def test_rows_and_sequences_find_their_clauses(vocabulary: Vocabulary) -> None:
    cart = 'items("add_to_cart") // carts\n .by(item.sku)'
    bought = 'items("purchase").since(events("return") .latest()).by(item.sku)'
    rule = f"{cart}.notFollowedBy({bought}, days(2)).count() > 2"
    clauses = [clause_text(rule, node) for node in nodes_of(compile_rule(rule, vocabulary))]
    assert clauses == [
        rule,
        f"{cart}.notFollowedBy({bought}, days(2)).count()",
        f"{cart}.notFollowedBy({bought}, days(2))",
        "item.sku",
        f"notFollowedBy({bought}, days(2))",
        bought,
        'events("return") .latest()',
        'events("return")',
        "item.sku",
        "2",
    ]
