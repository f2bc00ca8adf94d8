"""Bounds for what was not told: before which instant a condition cannot have held for a person.

A bound need not be close, but it may not be late: the run counts as exact up to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tests.scenarios.cel import resource_id
from tests.scenarios.record import Record
from tests.scenarios.scenario import Definition

NEVER_MS = 2**62
ALWAYS_MS = -1


def first_entry_ms(record: Record, person: int, definition: Definition) -> int:
    """Return the first instant at which a person could enter a journey that was not told."""
    entry = definition["entry"]
    if "event" in entry:
        return _event(record, person, entry)
    if "segment" in entry:
        return _segment(record, person, entry)
    if "predicted" in entry:
        return _first_event_ms(record, person, "order.placed")
    if "calendar" in entry:
        return _first_known_ms(record, person, entry["calendar"])
    if "catalog" in entry:
        arrivals = (each.at_ms for each in record.scenario.inputs if each.kind == "catalog")
        return min(arrivals, default=NEVER_MS)
    return ALWAYS_MS


def _first_true_ms(record: Record, person: int, condition: Definition) -> int:
    for key, bound in _BOUNDS.items():
        if key in condition:
            return bound(record, person, condition)
    return ALWAYS_MS


def _all(record: Record, person: int, condition: Definition) -> int:
    return max((_first_true_ms(record, person, each) for each in condition["all"]), default=-1)


def _any(record: Record, person: int, condition: Definition) -> int:
    first = partial(_first_true_ms, record, person)
    return min(map(first, condition["any"]), default=NEVER_MS)


def _segment(record: Record, person: int, condition: Definition) -> int:
    """A segment that was told has a history; of others the definition or the publication speaks."""
    scenario, name = record.scenario, condition["segment"]
    if name not in scenario.segments:
        return _first_published_ms(record, person, name)
    if name in record.told.missing_segments:
        return _first_true_ms(record, person, scenario.segments[name]["where"])
    entries = (
        each.at_ms
        for each in record.changes.get(person, ())
        if each.entered and each.segment_id == resource_id(name)
    )
    return min(entries, default=NEVER_MS)


def _event(record: Record, person: int, condition: Definition) -> int:
    """Counting from one up needs an event; other counts may hold without any."""
    if condition.get("count", {"gte": 1}).keys() - {"gte"}:
        return ALWAYS_MS
    return _first_event_ms(record, person, condition["event"])


def _age(record: Record, person: int, condition: Definition) -> int:
    return _first_event_ms(record, person, condition["age"]["event"])


def _items(record: Record, person: int, condition: Definition) -> int:
    if condition.get("count", {"gte": 1}).keys() - {"gte"}:
        return ALWAYS_MS
    return _first_event_ms(record, person, record.scenario.item_sets[condition["items"]]["of"])


_BOUNDS: Mapping[str, Callable[[Record, int, Definition], int]] = {
    "all": _all,
    "any": _any,
    "segment": _segment,
    "age": _age,
    "items": _items,
}
"""Of conditions of any other kind nothing is known, as of what `not` turns round."""


def _first_event_ms(record: Record, person: int, kinds: str | Iterable[str]) -> int:
    wanted = {kinds} if isinstance(kinds, str) else set(kinds)
    return min(
        (
            each.received_time.ToMilliseconds()
            for each in record.events.get(person, ())
            if each.event.type in wanted
        ),
        default=NEVER_MS,
    )


def _first_known_ms(record: Record, person: int, attribute: str) -> int:
    """Return when a person was first said to have an attribute."""
    return min(
        (
            each.at_ms
            for each in record.scenario.inputs
            if each.kind == "profile" and each.body["set"].get(attribute) is not None
            if person in (record.profiles.get(one, 0) for one in each.body["ids"].items())
        ),
        default=NEVER_MS,
    )


def _first_published_ms(record: Record, person: int, name: str) -> int:
    """Return when a person was first on the list of that name."""
    return min(
        (
            each.at_ms
            for each in record.scenario.inputs
            if each.kind == "audience" and each.body["name"] == name
            if any(
                record.profiles.get(one, 0) == person
                for ids in each.body["members"]
                for one in ids.items()
            )
        ),
        default=NEVER_MS,
    )
