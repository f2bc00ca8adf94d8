"""The smallest change that flips a rule for one person, in sentences."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from segcore.describe import describe
from segcore.micro import to_text
from segcore.rule import Kind, Rows, Scope
from segcore.scalar import Value
from segcore.steps import (
    Cannot,
    EnterAudience,
    LeaveAudience,
    MoreRows,
    Obstacle,
    SetAttribute,
    Step,
    Wait,
)
from services.kit.rules import clause_text
from services.segmentation.values import EPOCH, show_value

_SPANS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000))


def sentence(step: Step, rule_text: str) -> str:  # noqa: PLR0911  one a step
    """Return what a step asks for, e.g. `2 more "purchase" events of the last 30 days`."""
    match step:
        case MoreRows():
            return _more_rows(step)
        case SetAttribute(name, kind, value):
            return f"the attribute {name} {_becomes(value, kind)}"
        case Wait(until_ms, without):
            lacking = " and no ".join(_rows(rows, 1) for rows in without)
            quiet = f"with no {lacking}" if lacking else "in which nothing else happens"
            return f"time until {_instant(until_ms)}, {quiet}"
        case EnterAudience(audience_id):
            return f"becoming a member of {audience_id}"
        case LeaveAudience(audience_id):
            return f"being no member of {audience_id} any more"
        case Cannot(node, obstacle):
            text = clause_text(rule_text, node) or describe(node)
            if obstacle is Obstacle.SHARE:
                return f"nothing: `{text}` is drawn once for each person, and stays"
            return f"nothing: `{text}` is decided by what has happened"
        case _:
            assert_never(step)


def _more_rows(step: MoreRows) -> str:
    said = f"{step.count:,} more {_rows(step.rows, step.count)}"
    if step.key is not None:
        said += f", for {step.key}"
    if step.operand is not None and step.amount is not None:
        said += f", with {describe(step.operand)} of {to_text(step.amount)} in all"
    return said


def _rows(rows: Rows, count: int) -> str:
    """Return rows in words: what they are, where, and when."""
    kinds = " or ".join(f'"{each}"' for each in rows.types)
    unit = "event" if rows.scope is Scope.EVENT else "item"
    said = f"{kinds} {unit}{'' if count == 1 else 's'}"
    if rows.where is not None:
        said += f" where {describe(rows.where)}"
    if rows.last_ms is not None:
        said += f" within {_span(rows.last_ms)}"
    if rows.calendar_days is not None:
        said += f" within {_count(rows.calendar_days, 'calendar day')}"
    if rows.older_ms is not None:
        said += f", at least {_span(rows.older_ms)} old"
    for follow in rows.follows:
        then = " or ".join(f'"{each}"' for each in follow.then.types)
        within = f" within {_span(follow.within_ms)}" if follow.within_ms is not None else ""
        said += f", {'not ' if follow.absent else ''}followed by {then}{within}"
    return said


def _becomes(value: Value, kind: Kind) -> str:
    if value is None:
        return "without a value"
    if kind is Kind.TEXT:
        return f'with the value "{value}"'
    return f"with the value {show_value(value, kind)}"


def _instant(at_ms: int) -> str:
    moment = EPOCH + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(span_ms: int) -> str:
    for unit, size_ms in _SPANS:
        if span_ms >= size_ms and span_ms % size_ms == 0:
            return _count(span_ms // size_ms, unit)
    return f"{span_ms:,} ms"


def _count(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
