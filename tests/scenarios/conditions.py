"""Turns conditions of the vocabulary into text of the rule language.

It writes what the language is designed to say, also where the product cannot run it yet: the
product then refuses the definition, and says which word it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.cel import OPERATORS, comparison, joined, resource_id, span, texts
from tests.scenarios.faults import NotYet, ScenarioError

Condition = Mapping[str, Any]

_ITEM_FIELDS = {"qty": "quantity"}
_SUMS = {"total": "event.total", "amount": "item.price * item.quantity"}


@dataclass(frozen=True)
class Place:
    """Where a condition stands: which names it may use.

    `published` are the names of audiences whose members come from outside. `untold` gives, for a
    segment that the product has not been told, why. Events of a type in
    `one_line` have at most one line each here, so that counting lines is counting events.
    """

    item_sets: Mapping[str, Condition] = field(default_factory=dict)
    segments: frozenset[str] = frozenset()
    published: frozenset[str] = frozenset()
    untold: Mapping[str, str] = field(default_factory=dict)
    one_line: frozenset[str] = frozenset()
    key: str = "profile"


def rule_of(condition: Condition, place: Place) -> str:
    """Return the rule; raises NotYet for what has no words, ScenarioError for what is no condition.

    >>> rule_of({"not": {"event": "order.placed", "within": "P7D"}}, Place())
    '!events("order.placed").last(days(7)).exists()'
    """
    for key, write in _WRITERS.items():
        if key in condition:
            return write(condition, place)
    raise ScenarioError(f"unknown condition {sorted(condition)}; there are {', '.join(_WRITERS)}")


def entry_rows(entry: Condition, *, by_item: bool) -> str:
    """Return the rows expression of an entry by event."""
    _known(entry, "event", "where", "interested")
    return _rows(entry, by_item=by_item)


def _all(condition: Condition, place: Place) -> str:
    return joined([rule_of(each, place) for each in condition["all"]], "&&")


def _any(condition: Condition, place: Place) -> str:
    return joined([rule_of(each, place) for each in condition["any"]], "||")


def _not(condition: Condition, place: Place) -> str:
    inner = rule_of(condition["not"], place)
    simple = inner.startswith(("events(", "items(", "audience(")) and inner.endswith(")")
    return f"!{inner}" if simple and " " not in inner.rpartition(".")[2] else f"!({inner})"


def _attribute(condition: Condition, place: Place) -> str:
    _known(condition, "attr", *OPERATORS)
    tests = {name: value for name, value in condition.items() if name != "attr"}
    return comparison(f"profile.{condition['attr']}", tests)


def _event(condition: Condition, place: Place) -> str:
    _known(condition, "event", "where", "within", "since", "count", "same", "same_item")
    item_tests = "item" in condition.get("where", {})
    same_item = condition.get("same_item", False)
    rows = _rows(condition, by_item=item_tests or same_item)
    if "same" in condition:
        name = condition["same"]
        rows += f".where(event.{name} == trigger.{name})"
    if same_item:
        if place.key != "item":
            raise ScenarioError("`same_item` needs a journey with `key: item`")
        rows += ".where(item.sku == key)"
    rows += _window(condition)
    wanted = condition.get("count", {"gte": 1})
    if wanted == {"gte": 1}:
        return f"{rows}.exists()"
    kinds = {condition["event"]} if isinstance(condition["event"], str) else {*condition["event"]}
    by_line = rows.startswith("items(") and not kinds <= place.one_line
    number = ".distinct(event.id)" if by_line else ".count()"
    return comparison(rows + number, wanted)


def _sum(condition: Condition, place: Place) -> str:
    _known(condition, "sum", "event", "where", "within", "net", *OPERATORS)
    what = condition["sum"]
    if what not in _SUMS:
        raise ScenarioError(f"expected a sum of {' or '.join(_SUMS)}, found {what!r}")
    tests = {name: value for name, value in condition.items() if name in OPERATORS}
    total = f"{_summed(condition, what)}.sum({_SUMS[what]})"
    if condition.get("net"):
        returned = _summed({**condition, "event": "order.returned"}, what)
        total += f" - {returned}.sum({_SUMS[what]})"
    return comparison(total, tests)


def _summed(condition: Condition, what: str) -> str:
    return _rows(condition, by_item=what == "amount") + _window(condition)


def _age(condition: Condition, place: Place) -> str:
    """An age is said by windows: at least so old is to have rows, but none that are younger."""
    age = condition["age"]
    _known(age, "event", "where", *OPERATORS)
    rows = _rows(age, by_item="item" in age.get("where", {}))
    tests = []
    for name, value in age.items():
        if name == "gte":
            tests.append(f"{rows}.exists() && !{rows}.last({span(value)}).exists()")
        elif name == "lt":
            tests.append(f"{rows}.last({span(value)}).exists()")
        elif name in OPERATORS:
            raise NotYet(f"`age` with `{name}`")
    return joined(tests, "&&")


def _segment(condition: Condition, place: Place) -> str:
    name = condition["segment"]
    if name in place.untold:
        raise NotYet(place.untold[name])
    if name not in place.segments | place.published:
        raise NotYet("audiences that nobody publishes")
    return f'audience("{resource_id(name)}")'


def _items(condition: Condition, place: Place) -> str:
    _known(condition, "items", "count")
    name = condition["items"]
    if name not in place.item_sets:
        raise ScenarioError(f"there is no item set {name!r}")
    wanted = place.item_sets[name]
    rows = (
        f"items({texts(wanted['of'])}).last({span(wanted['within'])}).by(item.sku)"
        f".notFollowedBy(items({texts(wanted['cleared_by'])}).by(item.sku))"
    )
    count = condition.get("count", {"gte": 1})
    if count == {"gte": 1}:
        return f"{rows}.exists()"
    return comparison(f"{rows}.distinct(item.sku)", count)


def _key_item(condition: Condition, place: Place) -> str:
    if place.key != "item":
        raise ScenarioError("`key_item` needs a journey with `key: item`")
    tests = condition["key_item"].items()
    return joined([comparison(f"catalog(key).{name}", wanted) for name, wanted in tests], "&&")


def _predicted_top(condition: Condition, place: Place) -> str:
    raise NotYet("ranks by a model (`predicted_top`)")


_WRITERS: Mapping[str, Callable[[Condition, Place], str]] = {
    "all": _all,
    "any": _any,
    "not": _not,
    "attr": _attribute,
    "sum": _sum,
    "event": _event,
    "age": _age,
    "segment": _segment,
    "items": _items,
    "key_item": _key_item,
    "predicted_top": _predicted_top,
}


def _rows(condition: Condition, *, by_item: bool) -> str:
    where = dict(condition.get("where") or {})
    item = where.pop("item", {})
    tests = [comparison(f"event.{name}", wanted) for name, wanted in where.items()]
    tests += [
        comparison(f"item.{_ITEM_FIELDS.get(name, name)}", wanted) for name, wanted in item.items()
    ]
    source = "items" if by_item or item else "events"
    kept = f".where({' && '.join(tests)})" if tests else ""
    return f"{source}({texts(condition['event'])}){kept}"


def _window(condition: Condition) -> str:
    if "within" in condition and "since" in condition:
        raise ScenarioError("expected `within` or `since`, found both")
    if "within" in condition:
        return f".last({span(condition['within'])})"
    since = condition.get("since")
    if since in ("trigger", "entry"):
        return f".since({since})"
    if since is None:
        return ""
    kind = since.removeprefix("last ")
    return f".since(events({texts(kind)}).latest())"


def _known(condition: Condition, *names: str) -> None:
    stray = sorted(set(condition) - set(names))
    if stray:
        raise ScenarioError(f"unknown `{stray[0]}`; there are {', '.join(names)}")
