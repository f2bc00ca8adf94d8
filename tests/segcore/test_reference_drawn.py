"""The reference beside itself, on drawn rules: what it says must hang together."""

from __future__ import annotations

from dataclasses import replace

from drawn import attribute_values, events, rules
from drawn_values import day_instants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.kinds import check_rule
from segcore.reference import evaluate, next_change_ms
from segcore.rule import Expression, Not
from segcore.rule_json import from_json, to_json

NOW = 60
HORIZON = 120
quick = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
Attributes = dict[str, PropertyValue | None]


def put_in_time(drawn: list[Event], attributes: list[Attributes], now_ms: int) -> History:
    return History(
        tuple(
            replace(
                event,
                event_id=str(place),
                occurred_ms=now_ms - event.occurred_ms,
                received_ms=now_ms,
            )
            for place, event in enumerate(drawn)
        ),
        tuple(AttributeChange(values, place) for place, values in enumerate(attributes)),
    )


@settings(quick, max_examples=1000)
@given(rules(("a",), depth=3, local_days=True))
def test_a_drawn_rule_is_well_formed_and_comes_back_from_its_json(rule: Expression) -> None:
    check_rule(rule)
    assert from_json(to_json(rule)) == rule


@quick
@given(
    rules(("a",), local_days=True),
    st.lists(events(), max_size=5),
    st.lists(attribute_values, max_size=2),
    st.booleans(),
)
def test_the_next_change_is_the_first_of_all_instants_to_come(
    rule: Expression,
    drawn: list[Event],
    attributes: list[Attributes],
    settled: bool,  # noqa: FBT001
) -> None:
    history = put_in_time(drawn, attributes, NOW)

    def at(instant_ms: int, *, settled: bool = True) -> object:
        return evaluate(rule, history, instant_ms, lambda _: True, settled=settled)

    current = at(NOW, settled=settled)
    assert isinstance(current, bool)
    assert at(NOW, settled=settled) is not evaluate(
        Not(rule), history, NOW, lambda _: True, settled=settled
    )
    found = next_change_ms(rule, history, NOW, lambda _: True, settled=settled)
    first = NOW + settled
    changes = (ms for ms in range(first, HORIZON) if at(ms) != current)
    assert next(changes, None) == (found if found is None or found < HORIZON else None)


@settings(quick, max_examples=200)
@given(
    rules(("a",), local_days=True),
    st.lists(events(), max_size=4),
    st.lists(attribute_values, max_size=2),
    day_instants(),
    st.lists(st.integers(0, 100 * 3_600_000), max_size=10),
)
def test_nothing_changes_before_the_next_change_among_local_days(
    rule: Expression,
    drawn: list[Event],
    attributes: list[Attributes],
    now_ms: int,
    later: list[int],
) -> None:
    history = put_in_time(drawn, attributes, now_ms)
    current = evaluate(rule, history, now_ms, lambda _: True)
    found = next_change_ms(rule, history, now_ms, lambda _: True)
    for instant_ms in [now_ms + step for step in later] + ([found - 1] if found else []):
        if found is None or instant_ms < found:
            assert evaluate(rule, history, instant_ms, lambda _: True) == current
    if found is not None:
        assert evaluate(rule, history, found, lambda _: True) != current
