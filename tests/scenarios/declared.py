"""The schema of a scenario: what its definitions and its timeline speak of, with their types."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from coterie.type.v1 import schema_pb2, value_pb2
from tests.scenarios.faults import ScenarioError
from tests.scenarios.inputs import event_types, properties
from tests.scenarios.scenario import Definition, Input, Scenario
from tests.scenarios.words import ATTRIBUTES, EVENT_TYPES, NEVER, NUMBERS

TEXT, NUMBER, FLAG = (
    value_pb2.VALUE_KIND_TEXT,
    value_pb2.VALUE_KIND_NUMBER,
    value_pb2.VALUE_KIND_FLAG,
)


class Kinds:
    """Names with the one kind that each has. Raises ScenarioError where a name has two."""

    def __init__(self) -> None:
        self._kinds: dict[str, value_pb2.ValueKind.ValueType] = {}

    def note(self, name: str, wanted: Any, place: str) -> None:
        """Take in a value of the name, or a comparison with values."""
        for value in _values(wanted):
            kind = _kind(value)
            known = self._kinds.setdefault(name, kind)
            if known != kind:
                shown = [value_pb2.ValueKind.Name(each)[11:].lower() for each in (known, kind)]
                raise ScenarioError(f"{place}: {name} is a {shown[0]}, found a {shown[1]}")

    def field(self, name: str) -> schema_pb2.FieldSchema:
        """Return the declaration; what has shown no value is a text."""
        return schema_pb2.FieldSchema(name=name, kind=self._kinds.get(name, TEXT))

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)


def schema_of(scenario: Scenario) -> schema_pb2.Schema:
    """Return the schema that the scenario needs; raises ScenarioError where types differ."""
    attributes, named = Kinds(), Kinds()
    for name in ATTRIBUTES:
        attributes.note(name, "", "")
    carried: dict[str, set[str]] = defaultdict(set)
    carried[NEVER] = set()
    for kind, names in EVENT_TYPES.items():
        carried[kind] |= set(names)
        for name in names:
            named.note(name, 0 if name in NUMBERS else "", "")
    for each in scenario.inputs:
        if each.kind == "event":
            _note_event(each, named, carried)
        elif each.kind == "profile":
            for name, value in each.body["set"].items():
                attributes.note(name, value, each.place)
    for place, condition in _conditions(scenario):
        _note_condition(condition, place, attributes, named, carried)
    return schema_pb2.Schema(
        attributes=[attributes.field(name) for name in attributes],
        event_types=[
            schema_pb2.EventTypeSchema(
                type=kind, properties=[named.field(name) for name in sorted(names)]
            )
            for kind, names in sorted(carried.items())
        ],
    )


def one_line_types(scenario: Scenario) -> frozenset[str]:
    """Return the types of which no event here has more than one line."""
    several = {
        kind
        for body in scenario.bodies("event")
        if len(body.get("items", ())) > 1
        for kind in event_types(body)
    }
    known = {kind for body in scenario.bodies("event") for kind in event_types(body)}
    return frozenset((known | set(EVENT_TYPES)) - several)


def _note_event(arrival: Input, named: Kinds, carried: dict[str, set[str]]) -> None:
    found = properties(arrival.body)
    for name, value in found.items():
        named.note(name, value, arrival.place)
    for kind in event_types(arrival.body):
        carried[kind] |= set(found)


def _note_condition(
    condition: Definition, place: str, attributes: Kinds, named: Kinds, carried: dict[str, set[str]]
) -> None:
    if "attr" in condition:
        tests = {name: value for name, value in condition.items() if name != "attr"}
        attributes.note(condition["attr"], tests, place)
    kinds = condition.get("event", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    where = {k: v for k, v in (condition.get("where") or {}).items() if k != "item"}
    for name, wanted in where.items():
        named.note(name, wanted, place)
    names = {*where, *([condition["same"]] if "same" in condition else [])}
    for kind in kinds:
        carried[kind] |= names


def _conditions(scenario: Scenario) -> Iterator[tuple[str, Definition]]:
    for group in ("segments", "journeys"):
        for name, definition in getattr(scenario, group).items():
            yield from ((f"{group}.{name}", each) for each in _mappings(definition))
    yield from (("item_sets", {"event": s["of"]}) for s in scenario.item_sets.values())
    yield from (("item_sets", {"event": s["cleared_by"]}) for s in scenario.item_sets.values())


def _mappings(value: Any) -> Iterator[Definition]:
    """Return every mapping in a definition that can be a condition or an entry."""
    if isinstance(value, Mapping):
        if "attr" in value or ("event" in value and isinstance(value["event"], str | list)):
            yield value
        for inner in value.values():
            yield from _mappings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _mappings(inner)


def _values(wanted: Any) -> Iterator[Any]:
    if isinstance(wanted, Mapping):
        for name, value in wanted.items():
            if name != "exists":
                yield from _values(value)
    elif isinstance(wanted, list):
        for each in wanted:
            yield from _values(each)
    elif wanted is not None:
        yield wanted


def _kind(value: Any) -> value_pb2.ValueKind.ValueType:
    if isinstance(value, bool):
        return FLAG
    return NUMBER if isinstance(value, int | float) else TEXT
