"""The person kernel beside the reference, on drawn rules and at directed boundaries."""

from __future__ import annotations

from dataclasses import replace

from drawn import Draw, attribute_values, events, rules
from drawn_values import day_instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segcore._person import OnePerson
from segcore.condition_plan import plan_condition
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.reference import evaluate
from segcore.rule import (
    MICRO,
    Aggregate,
    Compare,
    Comparison,
    Expression,
    Fold,
    Kind,
    Literal,
)

NOW = 60
HORIZON = 120
quick = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
Attributes = dict[str, PropertyValue | None]


def put_in_time(
    drawn: list[Event], attributes: list[Attributes], now_ms: int, places: list[int]
) -> History:
    """Return the history of drawn events; some are received late, or have the least of ids."""
    return History(
        tuple(
            replace(
                event,
                event_id=f"{places[place % len(places)]}-{place}",
                occurred_ms=now_ms - event.occurred_ms,
                received_ms=now_ms - places[place % len(places)] % 3,
            )
            for place, event in enumerate(drawn)
        ),
        tuple(AttributeChange(values, place) for place, values in enumerate(attributes)),
    )


def check(rule: Expression, history: History, now_ms: int, settled: bool, ends: list[int]) -> None:  # noqa: FBT001
    """Hold one answer to the reference, and its next instant to all of `ends` before it."""
    condition = OnePerson(history).condition(plan_condition(rule))
    condition.set_members({"a"})

    def at(instant_ms: int, *, settled: bool = True) -> object:
        member = "a".__eq__
        return evaluate(rule, history, instant_ms, member, settled=settled, profile_id=1)

    current = at(now_ms, settled=settled)
    horizon_ms = now_ms if settled else now_ms - 1
    holds, next_ms = condition.holds(1, now_ms, horizon_ms)
    assert holds is current
    assert next_ms is None or next_ms > horizon_ms
    for instant_ms in [*ends, *([] if next_ms is None else [next_ms - 1])]:
        if instant_ms > horizon_ms and (next_ms is None or instant_ms < next_ms):
            assert at(instant_ms) is current


@quick
@given(
    rules(("a",)),
    st.lists(events(), max_size=6),
    st.lists(attribute_values, max_size=2),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.booleans(),
)
def test_it_says_what_the_reference_says_until_the_instant_that_it_names(
    rule: Expression,
    drawn: list[Event],
    attributes: list[Attributes],
    places: list[int],
    settled: bool,  # noqa: FBT001
) -> None:
    history = put_in_time(drawn, attributes, NOW, places)
    check(rule, history, NOW, settled, list(range(NOW, HORIZON)))


@st.composite
def sequences(draw: st.DrawFn) -> Expression:
    """Draw one test of rows by others, nested, over few keys: `exists` or how many."""
    drawn = Draw(draw, None)
    rows = drawn.follow(drawn.rows(drawn.pick(0, 0, 1)), drawn.pick(0, 1, 2))
    if drawn.maybe():
        return Aggregate(rows, Fold.EXISTS)
    limit = Literal(drawn.pick(1, 2, 3) * MICRO, Kind.NUMBER)
    return Compare(drawn.pick(*Comparison), Aggregate(rows, Fold.COUNT), limit)


@quick
@given(
    sequences(),
    st.lists(events(), min_size=4, max_size=14),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.booleans(),
)
def test_it_follows_rows_as_the_reference_does(
    rule: Expression,
    drawn: list[Event],
    places: list[int],
    settled: bool,  # noqa: FBT001
) -> None:
    history = put_in_time(drawn, [], NOW, places)
    check(rule, history, NOW, settled, list(range(NOW, HORIZON)))


@settings(quick, max_examples=150)
@given(
    rules(("a",), local_days=True),
    st.lists(events(), max_size=4),
    st.lists(attribute_values, max_size=2),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.booleans(),
    day_instants(),
    st.lists(st.integers(0, 100 * 3_600_000), max_size=10),
)
def test_it_says_what_the_reference_says_among_local_days(  # noqa: PLR0913, PLR0917
    rule: Expression,
    drawn: list[Event],
    attributes: list[Attributes],
    places: list[int],
    settled: bool,  # noqa: FBT001
    now_ms: int,
    later: list[int],
) -> None:
    history = put_in_time(drawn, attributes, now_ms, places)
    check(rule, history, now_ms, settled, [now_ms + step for step in later])
