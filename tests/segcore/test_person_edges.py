"""The person kernel at directed boundaries: ties, ends of windows, days, many rows."""

from __future__ import annotations

from datetime import date

import pytest

from segcore._person import Condition, OnePerson
from segcore.calendar import DAY_MS, HOUR_MS, day_of
from segcore.condition_plan import plan_condition
from segcore.history import AttributeChange, Event, History, Item, PropertyValue
from segcore.reference import evaluate
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    Anniversary,
    Attribute,
    Bucket,
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
    TriggerField,
)

SKU = ItemField("sku", Kind.TEXT)
VIEW = Rows(Scope.EVENT, ("view",))
BUY = Rows(Scope.EVENT, ("buy",))
NUMBER = EventField("n", Kind.NUMBER)
ONE = Literal(MICRO, Kind.NUMBER)


def event(kind: str, at_ms: int, *skus: str, event_id: str = "", received: int = 100) -> Event:
    properties: dict[str, PropertyValue] = {"n": float(at_ms % 1000)}
    items = tuple(Item(sku) for sku in skus)
    return Event(event_id or f"{kind}{at_ms}", kind, at_ms, received, "crm:1", properties, items)


def asked(
    rule: Expression, *events: Event, default: str = "UTC", **values: PropertyValue
) -> Condition:
    changes = (AttributeChange(dict(values), 0),) if values else ()
    return OnePerson(History(events, changes), default).condition(plan_condition(rule))


def exists(rows: Rows, *follows: Follow) -> Aggregate:
    kept = Rows(rows.scope, rows.types, last_ms=rows.last_ms, key=rows.key, follows=follows)
    return Aggregate(kept, Fold.EXISTS)


def test_a_row_leaves_when_its_window_ends() -> None:
    rule = exists(Rows(Scope.EVENT, ("view",), last_ms=10), Follow(BUY, None, absent=True))
    condition = asked(rule, event("view", 5))
    assert condition.holds(1, 14, 14) == (True, 15)
    assert condition.holds(1, 15, 14) == (True, 15)
    assert condition.holds(1, 15, 15) == (False, None)


def test_rows_that_leave_one_by_one_exist_until_the_last_does() -> None:
    rule = exists(Rows(Scope.EVENT, ("view",), last_ms=10), Follow(BUY, None, absent=True))
    assert asked(rule, event("view", 5), event("view", 8)).holds(1, 9, 9) == (True, 18)


def test_an_absence_begins_when_its_window_ends() -> None:
    condition = asked(exists(VIEW, Follow(BUY, 10, absent=True)), event("view", 5))
    assert condition.holds(1, 14, 14) == (False, 15)
    assert condition.holds(1, 15, 14) == (False, 15)
    assert condition.holds(1, 15, 15) == (True, None)


@pytest.mark.parametrize(("at_ms", "holds"), [(4, True), (5, False), (15, False), (16, True)])
def test_both_ends_of_an_absence_count(at_ms: int, holds: bool) -> None:  # noqa: FBT001
    rule = exists(VIEW, Follow(BUY, 10, absent=True))
    condition = asked(rule, event("view", 5), event("buy", at_ms))
    assert condition.holds(1, 30, 30) == (holds, None)


@pytest.mark.parametrize(("at_ms", "holds"), [(5, False), (6, True), (15, True), (16, False)])
def test_a_tie_is_no_sequence_and_the_end_counts(at_ms: int, holds: bool) -> None:  # noqa: FBT001
    rule = exists(VIEW, Follow(BUY, 10, absent=False))
    condition = asked(rule, event("view", 5), event("buy", at_ms))
    assert condition.holds(1, 30, 30) == (holds, None)


def test_a_row_is_never_its_own_answer_but_another_of_its_instant_is() -> None:
    rule = exists(VIEW, Follow(VIEW, None, absent=True))
    assert asked(rule, event("view", 5)).holds(1, 9, 9)[0]
    twice = (event("view", 5), event("view", 5, event_id="other"))
    assert not asked(rule, *twice).holds(1, 9, 9)[0]


def test_a_line_answers_an_event_of_its_own() -> None:
    rule = exists(VIEW, Follow(Rows(Scope.ITEM, ("view",)), None, absent=True))
    assert not asked(rule, event("view", 5, "x")).holds(1, 9, 9)[0]
    assert asked(rule, event("view", 5)).holds(1, 9, 9)[0]


def test_a_line_answers_another_line_of_its_event_unless_keys_differ() -> None:
    views = Rows(Scope.ITEM, ("view",), key=SKU)
    rule = exists(views, Follow(views, None, absent=True))
    assert asked(rule, event("view", 5, "x", "y")).holds(1, 9, 9)[0]
    assert not asked(rule, event("view", 5, "x", "x")).holds(1, 9, 9)[0]


def test_a_missing_key_is_answered_by_nothing() -> None:
    key = EventField("nothing", Kind.TEXT)
    views, buys = (Rows(Scope.EVENT, (kind,), key=key) for kind in ("view", "buy"))
    history = (event("view", 5), event("buy", 6))
    assert asked(exists(views, Follow(buys, None, absent=True)), *history).holds(1, 9, 9)[0]
    assert not asked(exists(views, Follow(buys, None, absent=False)), *history).holds(1, 9, 9)[0]


def test_what_leaves_may_let_an_absence_hold_again() -> None:
    buys = Rows(Scope.EVENT, ("buy",), last_ms=10)
    rule = exists(VIEW, Follow(buys, None, absent=True))
    condition = asked(rule, event("view", 5), event("buy", 7))
    assert condition.holds(1, 9, 9) == (False, 17)
    assert condition.holds(1, 17, 17) == (True, None)


def test_an_age_reaches_a_span_and_is_beyond_it_a_millisecond_later() -> None:
    age = Age(Aggregate(VIEW, Fold.LATEST))
    due = {Comparison.GE: 15, Comparison.GT: 16, Comparison.LT: 15, Comparison.LE: 16}
    for comparison, due_ms in due.items():
        condition = asked(Compare(comparison, age, Literal(10, Kind.SPAN)), event("view", 5))
        before, next_ms = condition.holds(1, 9, 9)
        assert next_ms == due_ms
        assert condition.holds(1, due_ms, due_ms - 1)[0] == before
        assert condition.holds(1, due_ms, due_ms)[0] != before


def test_of_rows_at_one_instant_receipt_then_id_then_line_tell_the_latest() -> None:
    def latest(*events: Event) -> int:
        rule = Aggregate(Rows(Scope.EVENT, ("view",)), Fold.LATEST, EventField("id", Kind.TEXT))
        for candidate in events:
            literal = Literal(candidate.event_id, Kind.TEXT)
            if asked(Compare(Comparison.EQ, rule, literal), *events).holds(1, 99, 99)[0]:
                return events.index(candidate)
        raise AssertionError("expected one of the events to be the latest")

    first = event("view", 5, event_id="b", received=7)
    assert latest(first, event("view", 5, event_id="a", received=8)) == 1
    assert latest(first, event("view", 5, event_id="bb", received=7)) == 1
    assert latest(event("view", 5, event_id="z", received=7), first) == 0


def test_local_days_end_at_the_persons_midnight() -> None:
    rule = Aggregate(Rows(Scope.EVENT, ("view",), calendar_days=2), Fold.EXISTS)
    spring = day_of(2000, 3, 26)
    noon = spring * DAY_MS + 10 * HOUR_MS
    end = (spring + 2) * DAY_MS - 2 * HOUR_MS
    workspaces = asked(rule, event("view", noon), default="Europe/Paris")
    assert workspaces.holds(1, noon, noon) == (True, end)
    own = asked(rule, event("view", noon), zone="Europe/Paris")
    assert own.holds(1, end - 1, end - 1) == (True, end)
    assert own.holds(1, end, end - 1) == (True, end)
    assert own.holds(1, end, end) == (False, None)


def test_a_day_that_comes_twice_is_that_of_the_reference() -> None:
    """Clocks in St. John's went back from one minute past midnight to 23:01 of the day before."""
    midnight = day_of(2006, 10, 29) * DAY_MS + 5 * HOUR_MS // 2
    minute = HOUR_MS // 60
    zone = "America/St_Johns"
    rows = Rows(Scope.EVENT, ("view",), calendar_days=1)
    rules: list[Expression] = [Aggregate(rows, Fold.EXISTS)]
    rules.append(Anniversary(Literal(day_of(1990, 10, 28), Kind.DATE)))
    rules.append(Anniversary(Literal(day_of(1990, 10, 29), Kind.DATE)))
    instants = [midnight + step * minute for step in (-70, -1, 0, 1, 2, 30, 59, 60, 61, 62, 90)]
    for rule in rules:
        for occurred_ms in instants:
            history = History((event("view", occurred_ms),))
            condition = OnePerson(history, zone).condition(plan_condition(rule))
            for now_ms in (each for each in instants if each >= occurred_ms):
                holds, next_ms = condition.holds(1, now_ms, now_ms)
                for later in (each for each in instants if each >= now_ms):
                    if next_ms is None or later < next_ms:
                        found = evaluate(rule, history, later, lambda _: False, zone=zone)
                        assert found is holds


def test_an_anniversary_lasts_a_local_day() -> None:
    rule = Anniversary(Attribute("born", Kind.DATE))
    begin = day_of(2001, 2, 28) * DAY_MS
    condition = asked(rule, born=date(1996, 2, 29))
    assert condition.holds(1, begin - 1, begin - 1) == (False, begin)
    assert condition.holds(1, begin, begin) == (True, begin + DAY_MS)
    leap = day_of(2004, 2, 29) * DAY_MS
    assert condition.holds(1, leap - 1, leap - 1) == (False, leap)


def test_a_hundred_thousand_rows_of_one_instant_and_key_are_no_trouble() -> None:
    buys = Rows(Scope.ITEM, ("buy",), key=SKU)
    views = Rows(Scope.ITEM, ("view",), key=SKU, follows=(Follow(buys, None, absent=True),))
    rule = Compare(
        Comparison.EQ, Aggregate(views, Fold.COUNT), Literal(50_000 * MICRO, Kind.NUMBER)
    )
    events = [event("view", 5, "x", event_id=str(place)) for place in range(50_000)]
    events += [event("view", 5, "y", event_id=str(place)) for place in range(50_000, 100_000)]
    assert asked(rule, *events, event("buy", 5, "y")).holds(1, 9, 9) == (True, None)
    assert asked(rule, *events, event("buy", 4, "y")).holds(1, 9, 9) == (False, None)


def test_distinct_values_are_counted_once() -> None:
    rule = Aggregate(Rows(Scope.ITEM, ("view",)), Fold.DISTINCT, SKU)
    events = [event("view", place, "abcdefg"[place % 7], "x") for place in range(60)]
    literal = Literal(8 * MICRO, Kind.NUMBER)
    assert asked(Compare(Comparison.EQ, rule, literal), *events).holds(1, 99, 99)[0]


def test_ids_are_counted_once_also_over_lines_and_types() -> None:
    rows = Rows(Scope.ITEM, ("view", "buy"))
    rule = Aggregate(rows, Fold.DISTINCT, EventField("id", Kind.TEXT))
    events = [event("view", place, "x", "y", event_id=f"e{place % 30}") for place in range(60)]
    events += [event("buy", 7, "x", event_id="e7"), event("buy", 8, "x", event_id="other")]
    literal = Literal(31 * MICRO, Kind.NUMBER)
    assert asked(Compare(Comparison.EQ, rule, literal), *events).holds(1, 99, 99)[0]


def test_a_condition_says_what_can_change_it() -> None:
    rows = Rows(Scope.EVENT, ("view", "buy"), from_times=(Attribute("since", Kind.TIME),))
    days = Rows(Scope.EVENT, ("back",), calendar_days=2)
    rule = Compare(Comparison.GT, Aggregate(rows, Fold.COUNT), Aggregate(days, Fold.COUNT))
    plan = plan_condition(rule)
    assert plan.types == ("back", "buy", "view")
    assert plan.attributes == ("since", "zone")
    assert plan.zoned


@pytest.mark.parametrize(
    ("rule", "at_birth"),
    [
        (exists(VIEW), False),
        (Not(exists(VIEW)), True),
        (Compare(Comparison.LT, Bucket("s"), ONE), True),
        (Compare(Comparison.GE, Age(Literal(0, Kind.TIME)), Literal(5, Kind.SPAN)), True),
        (Compare(Comparison.GE, Age(Attribute("w", Kind.TIME)), Literal(5, Kind.SPAN)), False),
        (Anniversary(Literal(0, Kind.DATE)), True),
        (Compare(Comparison.EQ, Aggregate(VIEW, Fold.MAX, NUMBER), Literal(None, None)), True),
    ],
)
def test_it_tells_whether_it_may_hold_of_nobody(rule: Expression, at_birth: bool) -> None:  # noqa: FBT001
    assert asked(rule).at_birth is at_birth


def test_a_condition_of_an_instance_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a rule of an audience"):
        plan_condition(Compare(Comparison.EQ, TriggerField("n", Kind.NUMBER), ONE))
