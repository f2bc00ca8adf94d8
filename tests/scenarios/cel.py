"""Writes pieces of the rule language: literals, comparisons, durations, names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.scenarios.faults import ScenarioError
from tests.scenarios.times import DAY, HOUR, MINUTE, SECOND, duration_ms

_OPERATORS = {"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "in": "in"}
OPERATORS = (*_OPERATORS, "exists")


def literal(value: Any) -> str:
    """Return a constant.

    >>> literal(True), literal("a\\"b"), literal(["x", 1.0])
    ('true', '"a\\\\"b"', '["x", 1.0]')
    """
    return json.dumps(value, ensure_ascii=False)


def comparison(left: str, wanted: Any) -> str:
    """Return that `left` is as wanted: a constant, or `{operator: constant, ...}`.

    >>> comparison("event.total", {"gte": 3, "lt": 5})
    'event.total >= 3 && event.total < 5'
    """
    tests = wanted if isinstance(wanted, Mapping) else {"eq": wanted}
    return " && ".join(_test(left, name, value) for name, value in tests.items())


def _test(left: str, name: str, value: Any) -> str:
    if name == "exists":
        return f"{left} != null" if value else f"{left} == null"
    if name not in _OPERATORS:
        raise ScenarioError(f"unknown comparison {name!r}; there are {', '.join(OPERATORS)}")
    return f"{left} {_OPERATORS[name]} {literal(value)}"


def span(text: str) -> str:
    """Return the duration in the largest unit that says it exactly.

    >>> span("P7D"), span("PT90M"), span("P1DT1S")
    ('days(7)', 'minutes(90)', 'duration("86401s")')
    """
    length_ms = duration_ms(text)
    for unit, unit_ms in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
        if length_ms % unit_ms == 0:
            return f"{unit}({length_ms // unit_ms})"
    return f'duration("{length_ms // SECOND}s")'


def joined(parts: Sequence[str], operator: str) -> str:
    """Return the parts with the operator between them, each in brackets where it has several."""
    return parts[0] if len(parts) == 1 else f" {operator} ".join(f"({part})" for part in parts)


def resource_id(name: str) -> str:
    """Return the id that stands for a name of the vocabulary.

    >>> resource_id("high_intent")
    'high-intent'
    """
    return name.replace("_", "-").lower()


def texts(value: str | Sequence[str]) -> str:
    """Return one or several constants as arguments.

    >>> texts(["a", "b"])
    '"a", "b"'
    """
    several = [value] if isinstance(value, str) else value
    return ", ".join(literal(each) for each in several)
