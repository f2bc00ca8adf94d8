"""A condition taken apart means what it meant whole, by the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drawn_journeys import conditions, instances
from drawn_simple import NAMES, TYPES, attribute_values, events, writable
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.describe import describe
from segcore.history import AttributeChange, Event, History, PropertyValue
from segcore.instance import Instance
from segcore.kinds import check_condition, check_rule
from segcore.reference import evaluate, nodes_of
from segcore.rule import Aggregate, Attribute, Expression, InAudience, Kind
from segcore.rule_json import from_json, to_json, without_offsets
from services.kit.rules import Condition, Situation, Vocabulary, compile_condition, compile_rule

NOW = 100_000
EVERYTHING = Situation(has_trigger=True, has_item_key=True, has_key=True)
vocabulary = Vocabulary(
    attributes=NAMES,
    event_types={name: {**NAMES, "category": Kind.TEXT} for name in TYPES},
    audiences=frozenset("ab"),
)
written = conditions(("a", "b")).map(writable)


def split(text: str) -> Condition:
    return compile_condition(text, vocabulary, EVERYTHING, "own-{}".format)


def put_in_time(drawn: list[Event]) -> tuple[Event, ...]:
    """Give the events instants, and two of them one id: one event that counts as two types."""
    return tuple(
        replace(event, occurred_ms=NOW - 1000 * event.occurred_ms, event_id=str(place // 2))
        for place, event in enumerate(drawn)
    )


def since(history: History, condition: Condition, instance: Instance) -> History:
    """Return what a journey keeps of a history: events of some types, from the trigger on."""
    first_ms = instance.entry_ms
    if instance.trigger is not None:
        first_ms = min(first_ms, instance.trigger.occurred_ms)
    return History(
        tuple(
            event
            for event in history.events
            if event.type in condition.event_types and event.occurred_ms >= first_ms
        )
    )


@settings(max_examples=400, deadline=None)
@given(
    written,
    st.lists(events(), max_size=6).map(put_in_time),
    st.lists(attribute_values, max_size=2),
    st.sets(st.sampled_from("ab")),
    st.data(),
)
def test_the_parts_come_to_what_the_whole_comes_to(
    whole: Expression,
    happened: tuple[Event, ...],
    attributes: list[dict[str, PropertyValue | None]],
    member_of: set[str],
    data: Any,
) -> None:
    instance = data.draw(instances(NOW, happened))
    changes = tuple(AttributeChange(values, place) for place, values in enumerate(attributes))
    history = History(happened, changes)
    expected = evaluate(whole, history, NOW, member_of.__contains__, instance=instance)

    condition = split(describe(whole))
    entered = member_of | {
        audience_id
        for audience_id, text in condition.owned.items()
        if evaluate(compile_rule(text, vocabulary), history, NOW, member_of.__contains__)
    }
    kept = since(history, condition, instance)
    found = evaluate(condition.expression, kept, NOW, entered.__contains__, instance=instance)
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(written)
def test_what_is_left_knows_no_person_and_the_audiences_no_instance(whole: Expression) -> None:
    condition = split(describe(whole))
    check_condition(condition.expression)
    assert from_json(to_json(condition.expression)) == condition.expression
    nodes = list(nodes_of(condition.expression))
    assert not [node for node in nodes if isinstance(node, Attribute)]
    assert not [n for n in nodes if isinstance(n, Aggregate) and n.rows.since is None]
    asked = [node.audience_id for node in nodes if isinstance(node, InAudience)]
    assert condition.audiences == set(asked)
    assert list(condition.owned) == [f"own-{n}" for n in range(len(condition.owned))]
    owned_as_asked = [each for each in dict.fromkeys(asked) if each in condition.owned]
    assert owned_as_asked == list(condition.owned)
    rules = [without_offsets(compile_rule(t, vocabulary)) for t in condition.owned.values()]
    assert len(set(rules)) == len(rules)
    for rule in rules:
        check_rule(rule)


@settings(max_examples=100, deadline=None)
@given(written)
def test_one_text_is_taken_apart_in_one_way(whole: Expression) -> None:
    assert split(describe(whole)) == split(describe(whole))
