"""Ages, shares and other audiences, with what they have to come to worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from segcore.bucket import bucket_of
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.reference import Value, evaluate, next_change_ms
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    Attribute,
    Bucket,
    Compare,
    Comparison,
    Expression,
    Fold,
    InAudience,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)

NOW = 1_000


def at(occurred_ms: int) -> Event:
    return Event(f"a{occurred_ms}", "a", occurred_ms, NOW, "crm:1", {})


def value_of(expression: Expression, **values: PropertyValue) -> Value:
    history = History((), (AttributeChange(values, 0),))
    return evaluate(expression, history, NOW, lambda _: False)


def latest(last_ms: int | None = None) -> Aggregate:
    return Aggregate(Rows(Scope.EVENT, ("a",), last_ms=last_ms), Fold.LATEST)


def test_membership_is_asked_by_id() -> None:
    found = evaluate(InAudience("vip"), History(), NOW, lambda audience_id: audience_id == "vip")
    assert found is True


@pytest.mark.parametrize(
    ("comparison", "first"),
    [
        (Comparison.GE, 600),
        (Comparison.GT, 601),
        (Comparison.EQ, 600),
    ],
)
def test_an_age_reaches_its_span_at_one_instant(comparison: Comparison, first: int) -> None:
    rule = Compare(comparison, Age(latest()), Literal(100, Kind.SPAN))
    history = History((at(400), at(500)))

    def holds(now_ms: int) -> Value:
        return evaluate(rule, history, now_ms, lambda _: False)

    assert holds(first - 1) is False
    assert holds(first) is True
    assert next_change_ms(rule, history, 550, lambda _: False) == first
    assert next_change_ms(Not(rule), history, 550, lambda _: False) == first
    end = next_change_ms(rule, history, first, lambda _: False)
    assert end == (601 if comparison is Comparison.EQ else None)
    flipped = {">=": "<=", ">": "<", "==": "=="}[comparison]
    other = Compare(Comparison(flipped), Literal(100, Kind.SPAN), Age(latest()))
    assert next_change_ms(other, history, 550, lambda _: False) == first


def test_a_young_age_ends_at_its_span() -> None:
    young = Compare(Comparison.LT, Age(latest()), Literal(100, Kind.SPAN))
    at_most = Compare(Comparison.LE, Age(latest()), Literal(100, Kind.SPAN))
    history = History((at(500),))
    assert next_change_ms(young, history, 550, lambda _: False) == 600
    assert next_change_ms(at_most, history, 550, lambda _: False) == 601


def test_the_age_of_what_is_to_come_is_negative_and_of_nothing_missing() -> None:
    to_come = Compare(Comparison.LT, Age(Attribute("w", Kind.TIME)), Literal(0, Kind.SPAN))
    assert value_of(to_come, w=NOW + 1) is True
    assert value_of(to_come, w=NOW) is False
    assert value_of(to_come) is False
    history = History((), (AttributeChange({"w": 2_000}, 0),))
    assert next_change_ms(to_come, history, NOW, lambda _: False) == 2_000
    none = Compare(Comparison.GE, Age(Attribute("w", Kind.TIME)), Literal(0, Kind.SPAN))
    assert value_of(none) is False


def test_the_age_of_the_newest_row_grows_back_when_that_leaves_its_window() -> None:
    newest = latest(last_ms=50)
    away = Compare(Comparison.GE, Age(newest), Literal(40, Kind.SPAN))
    history = History((at(960), at(980)))
    assert [evaluate(away, history, ms, lambda _: False) for ms in (1_019, 1_020, 1_029)] == [
        False,
        True,
        True,
    ]
    assert evaluate(away, history, 1_030, lambda _: False) is False
    assert next_change_ms(away, history, 1_020, lambda _: False) == 1_030


def test_a_share_is_stable_and_even() -> None:
    def inside(profile_id: int, salt: str) -> Value:
        rule = Compare(Comparison.LT, Bucket(salt), Literal(MICRO // 10, Kind.NUMBER))
        return evaluate(rule, History(), NOW, lambda _: False, profile_id=profile_id)

    people = [partition << 32 | ordinal for partition in range(4) for ordinal in range(1, 2_501)]
    share = sum(inside(person, "a") is True for person in people)
    both = sum(inside(person, "a") is inside(person, "b") is True for person in people)
    assert 900 < share < 1_100
    assert 60 < both < 140
    assert bucket_of("", 0) == _by_hand("", 0)
    assert bucket_of("holdout-é", 3 << 32 | 77) == _by_hand("holdout-é", 3 << 32 | 77)


def _by_hand(salt: str, profile_id: int) -> int:
    """Say the definition once more, with 64-bit words made by hand."""
    word: Callable[[int], int] = lambda number: number % 2**64  # noqa: E731
    found = 14_695_981_039_346_656_037
    for byte in salt.encode("utf-8"):
        found = word((found ^ byte) * 1_099_511_628_211)
    found ^= word(profile_id * 11_400_714_819_323_198_485)
    found = word((found ^ found >> 30) * 13_787_848_793_156_543_929)
    found = word((found ^ found >> 27) * 10_723_151_780_598_845_931)
    return (found ^ found >> 31) * 1_000_000 // 2**64
