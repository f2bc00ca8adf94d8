"""The common workload of `../shared/bench` as our rules and columns.

The shared folder holds a generator of profiles, events and segment trees that all contestants run;
here its trees become typed rules, and its arrays what a `Batch` takes.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segcore.event_columns import EventColumns, PropertyColumn, TextColumn
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    AnyOf,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    InAudience,
    Kind,
    Literal,
    Not,
    OneOf,
    Rows,
    Scope,
    Truth,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "bench"
ATTRIBUTES = {
    "country": Kind.TEXT,
    "tier": Kind.TEXT,
    "preferred_channel": Kind.TEXT,
    "email_consent": Kind.FLAG,
    "sms_consent": Kind.FLAG,
    "birth_date": Kind.NUMBER,
    "signup_ts": Kind.TIME,
    "propensity_shoes": Kind.NUMBER,
    "lifetime_value": Kind.NUMBER,
}
PROPERTIES = {
    "category": Kind.TEXT,
    "brand": Kind.TEXT,
    "sku": Kind.TEXT,
    "value": Kind.NUMBER,
}
_COMPARISONS = {
    "eq": Comparison.EQ,
    "ne": Comparison.NE,
    "ge": Comparison.GE,
    "gt": Comparison.GT,
    "le": Comparison.LE,
    "lt": Comparison.LT,
}


def generator() -> ModuleType:
    """Return the shared generator; exits with a word where it is not there."""
    path = SHARED / "workload.py"
    if not path.exists():
        sys.exit(f"skipped: the shared workload is not beside the project ({path.name} not found)")
    sys.path.insert(0, str(SHARED))
    spec = importlib.util.spec_from_file_location("workload", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["workload"] = module
    spec.loader.exec_module(module)
    return module


def rules(shared: ModuleType, count: int = 20) -> dict[str, Expression]:
    """Return the segments as rules by audience id, parents first."""
    return {each["id"].lower(): _condition(each["expr"]) for each in shared.segments(count)}


def _condition(node: Mapping[str, Any]) -> Expression:  # noqa: PLR0911
    match node["op"]:
        case "and":
            return All(tuple(_condition(each) for each in node["args"]))
        case "or":
            return AnyOf(tuple(_condition(each) for each in node["args"]))
        case "not":
            return Not(_condition(node["arg"]))
        case "segment":
            return InAudience(node["ref"].lower())
        case "attr":
            kind = ATTRIBUTES[node["field"]]
            return _test(Attribute(node["field"], kind), kind, node["cmp"], node["value"])
        case "event":
            return _event(node)
        case _:
            first, then = (_rows(node[side], None) for side in ("first", "then"))
            follow = Follow(then, node["within_s"] * 1000, absent=True)
            rows = Rows(first.scope, first.types, first.where, follows=(follow,))
            return Aggregate(rows, Fold.EXISTS)


def _event(node: Mapping[str, Any]) -> Expression:
    rows = _rows(node, node["within_s"])
    count = node["agg"] == "count"
    fold, operand = (Fold.COUNT, None) if count else (Fold.SUM, EventField("value", Kind.NUMBER))
    value = Literal(node["value"] * MICRO, Kind.NUMBER)
    return Compare(_COMPARISONS[node["cmp"]], Aggregate(rows, fold, operand), value)


def _rows(node: Mapping[str, Any], within_s: int | None) -> Rows:
    tests = [
        _test(
            EventField(each["field"], PROPERTIES[each["field"]]),
            PROPERTIES[each["field"]],
            each["cmp"],
            each["value"],
        )
        for each in node.get("where", ())
    ]
    where = None if not tests else tests[0] if len(tests) == 1 else All(tuple(tests))
    last_ms = None if within_s is None else within_s * 1000
    return Rows(Scope.EVENT, (node["event"],), where, last_ms)


def _test(field: Attribute | EventField, kind: Kind, comparison: str, value: Any) -> Expression:
    if comparison == "between":
        low, high = (_literal(kind, each) for each in value)
        return All((Compare(Comparison.GE, field, low), Compare(Comparison.LE, field, high)))
    if comparison in {"in", "not_in"}:
        inside = OneOf(field, tuple(_literal(kind, each) for each in value))
        return inside if comparison == "in" else Not(inside)
    if kind is Kind.FLAG and comparison == "eq" and value is True:
        return Truth(field)
    return Compare(_COMPARISONS[comparison], field, _literal(kind, value))


def _literal(kind: Kind, value: Any) -> Literal:
    if kind is Kind.TEXT:
        return Literal(str(value), kind)
    if kind is Kind.NUMBER:
        return Literal(round(value * MICRO), kind)
    return Literal(value, kind)


def attribute_values(shared: ModuleType, profiles: Mapping[str, Any], name: str) -> list[Any]:
    """Return an attribute of all profiles as `Engine.set_attributes` takes it."""
    column = profiles[name]
    names = {
        "country": shared.COUNTRIES,
        "tier": shared.TIERS,
        "preferred_channel": shared.CHANNELS,
    }
    if name in names:
        return [names[name][code] for code in column.tolist()]
    kind = {Kind.NUMBER: float, Kind.FLAG: bool, Kind.TIME: int}[ATTRIBUTES[name]]
    return [kind(each) for each in column.tolist()]


def event_columns(
    shared: ModuleType, events: Mapping[str, Any], start: int, end: int
) -> EventColumns:
    """Return events `start` to before `end` as columns; an ordinal is the number plus 1."""
    part = {name: column[start:end] for name, column in events.items()}
    count = end - start
    times = part["ts"].astype(np.int64)
    ids = "".join(f"{number:09d}" for number in range(start, end)).encode()
    texts = {
        "category": [str(code) for code in range(shared.N_CATEGORY)],
        "brand": [str(code) for code in range(shared.N_BRAND)],
        "sku": [str(code) for code in range(shared.N_SKU)],
    }
    properties = [
        PropertyColumn(name, Kind.TEXT, part[name].astype(np.int64), None, dictionary)
        for name, dictionary in texts.items()
    ]
    value = np.round(part["value"] * MICRO).astype(np.int64)
    bought = np.isin(part["event_type"], [shared.TYPE_CODE["purchase"], shared.TYPE_CODE["return"]])
    properties.append(PropertyColumn("value", Kind.NUMBER, value, bought.astype(np.uint8)))
    return EventColumns(
        ordinals=part["profile_id"].astype(np.uint32) + np.uint32(1),
        types=TextColumn(part["event_type"].astype(np.uint32), shared.EVENT_TYPES),
        came_with=TextColumn(np.zeros(count, np.uint32), ["crm:load"]),
        occurred_ms=times,
        received_ms=times,
        log_ms=times,
        ids=ids,
        id_ends=np.arange(1, count + 1, dtype=np.int64) * 9,
        properties=properties,
    )
