"""The segments of `../shared/bench`, an engine-neutral tree, as rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    Kind,
    Literal,
    Not,
    OneOf,
    Rows,
    Scope,
    Truth,
)

ATTRIBUTES = {
    "country": Kind.TEXT,
    "tier": Kind.TEXT,
    "preferred_channel": Kind.TEXT,
    "email_consent": Kind.FLAG,
    "sms_consent": Kind.FLAG,
    "birth_date": Kind.DATE,
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
NAMED = {"category": "K{:02d}", "brand": "B{:03d}", "sku": "S{:05d}"}
"""What the workload numbers, rules name."""

_COMPARISONS = {
    "eq": Comparison.EQ,
    "ne": Comparison.NE,
    "lt": Comparison.LT,
    "le": Comparison.LE,
    "gt": Comparison.GT,
    "ge": Comparison.GE,
}


def rule_of(  # noqa: PLR0911
    segment: Mapping[str, Any], segments: Mapping[str, Mapping[str, Any]]
) -> Expression:
    """Return one expression of the tree as a rule; segments that it refers to are written out."""
    match segment["op"]:
        case "and":
            return All(tuple(rule_of(part, segments) for part in segment["args"]))
        case "or":
            return AnyOf(tuple(rule_of(part, segments) for part in segment["args"]))
        case "not":
            return Not(rule_of(segment["arg"], segments))
        case "segment":
            return rule_of(segments[segment["ref"]], segments)
        case "attr":
            name = segment["field"]
            return _test(Attribute(name, ATTRIBUTES[name]), segment)
        case "event":
            return _tally(segment)
        case _:
            then = segment["then"]
            follow = Follow(_rows(then["event"], then), segment["within_s"] * 1000, absent=True)
            first = segment["first"]
            return Aggregate(_rows(first["event"], first, follows=(follow,)), Fold.EXISTS)


def _tally(segment: Mapping[str, Any]) -> Expression:
    within = segment["within_s"]
    rows = _rows(segment["event"], segment, last_ms=None if within is None else within * 1000)
    comparison, value = _COMPARISONS[segment["cmp"]], segment["value"]
    if segment["agg"] == "count" and comparison is Comparison.GE and value == 1:
        return Aggregate(rows, Fold.EXISTS)
    fold = Fold.COUNT if segment["agg"] == "count" else Fold.SUM
    operand = None if fold is Fold.COUNT else EventField("value", Kind.NUMBER)
    limit = Literal(value * MICRO, Kind.NUMBER)
    return Compare(comparison, Aggregate(rows, fold, operand), limit)


def _rows(event: str, segment: Mapping[str, Any], **more: Any) -> Rows:
    tests = tuple(
        _test(EventField(test["field"], PROPERTIES[test["field"]]), test)
        for test in segment["where"]
    )
    where = None if not tests else tests[0] if len(tests) == 1 else All(tests)
    return Rows(Scope.EVENT, (event,), where, **more)


def _test(field: Attribute | EventField, test: Mapping[str, Any]) -> Expression:
    comparison, value = test["cmp"], test["value"]
    if comparison == "between":
        least, most = (_literal(field, bound) for bound in value)
        return All((Compare(Comparison.GE, field, least), Compare(Comparison.LE, field, most)))
    if comparison in ("in", "not_in"):
        one_of = OneOf(field, tuple(_literal(field, option) for option in value))
        return one_of if comparison == "in" else Not(one_of)
    if field.kind is Kind.FLAG:
        return Truth(field) if value else Not(Truth(field))
    return Compare(_COMPARISONS[comparison], field, _literal(field, value))


def _literal(field: Attribute | EventField, value: Any) -> Literal:
    if field.name in NAMED:
        return Literal(NAMED[field.name].format(value), Kind.TEXT)
    if field.kind is Kind.NUMBER:
        return Literal(round(value * MICRO), Kind.NUMBER)
    return Literal(value, field.kind)
