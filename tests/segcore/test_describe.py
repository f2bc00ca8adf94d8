"""What `describe` writes, the compiler of rule texts reads back as a rule that means the same."""

from __future__ import annotations

import re
from dataclasses import replace

import drawn
from drawn_simple import NAMES, TYPES, attribute_values, events, writable
from drawn_simple import simple_rules as rules
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segcore.describe import describe
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.reference import evaluate
from segcore.rule import Expression, Kind
from services.kit.rules import RuleError, Vocabulary, compile_rule

NOW = 100_000
vocabulary = Vocabulary(
    attributes=NAMES,
    event_types={name: {**NAMES, "category": Kind.TEXT} for name in TYPES},
    audiences=frozenset({"a"}),
)


@settings(max_examples=200, deadline=None)
@given(
    rules(("a",)).map(writable),
    st.lists(events(), max_size=4),
    st.lists(attribute_values, max_size=2),
)
def test_a_rule_that_was_described_is_read_back(
    rule: Expression, drawn: list[Event], attributes: list[dict[str, PropertyValue | None]]
) -> None:
    back = compile_rule(describe(rule), vocabulary)
    history = History(
        tuple(
            replace(event, occurred_ms=NOW - 1000 * event.occurred_ms, event_id=str(place))
            for place, event in enumerate(drawn)
        ),
        tuple(AttributeChange(values, place) for place, values in enumerate(attributes)),
    )
    expected = evaluate(rule, history, NOW, lambda _: True)
    assert evaluate(back, history, NOW, lambda _: True) == expected


UNWRITTEN = re.compile("an age is one|`in` takes a list|a list stands only")


def read_back(rule: Expression) -> Expression:
    """Return what a description comes to; of refusals only those of what nobody would write."""
    try:
        return compile_rule(describe(rule), every_name)
    except RuleError as error:
        assume(not UNWRITTEN.match(error.complaint))
        raise


every_name = Vocabulary(
    attributes=drawn.NAMES,
    event_types={name: {**drawn.NAMES, "category": Kind.TEXT} for name in drawn.TYPES},
    audiences=frozenset({"a"}),
)


@settings(max_examples=200, deadline=None)
@given(
    drawn.rules(("a",)).map(drawn.writable),
    st.lists(drawn.events(), max_size=4),
    st.lists(drawn.attribute_values, max_size=2),
)
def test_the_whole_language_is_read_back(
    rule: Expression, happened: list[Event], attributes: list[dict[str, PropertyValue | None]]
) -> None:
    back = read_back(rule)
    history = History(
        tuple(
            replace(event, occurred_ms=NOW - 1000 * event.occurred_ms, event_id=str(place))
            for place, event in enumerate(happened)
        ),
        tuple(AttributeChange(values, place) for place, values in enumerate(attributes)),
    )
    expected = evaluate(rule, history, NOW, lambda _: True)
    assert evaluate(back, history, NOW, lambda _: True) == expected
