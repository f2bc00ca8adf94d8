"""A rule back as readable CEL, with no more parentheses than it needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import assert_never

from segcore.micro import to_text
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Attribute,
    CatalogField,
    Compare,
    EventField,
    Expression,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Not,
    OneOf,
    Operator,
    Rows,
    Scope,
    TestText,
    TriggerField,
    Truth,
)

_OR, _AND, _COMPARE, _ADD, _MULTIPLY, _NOT, _ATOM = range(7)
"""How tightly a form holds together: what holds less tightly than its place is put in brackets."""

_DAY_MS = 86_400_000
_UNITS = (("days", _DAY_MS), ("hours", 3_600_000), ("minutes", 60_000))


def describe(expression: Expression) -> str:
    """Return `expression` as CEL text.

    >>> from segcore.rule import Fold
    >>> describe(Not(Aggregate(Rows(Scope.EVENT, ("purchase",), None, _DAY_MS), Fold.EXISTS)))
    '!events("purchase").last(days(1)).exists()'
    """
    return _form(expression)[1]


def _form(expression: Expression) -> tuple[int, str]:  # noqa: C901, PLR0911
    """Return how tightly the text of a node holds together, and the text."""
    match expression:
        case Literal():
            return _ATOM, _literal(expression)
        case Attribute():
            return _ATOM, f"profile.{expression.name}"
        case EventField():
            return _ATOM, f"event.{expression.name}"
        case ItemField():
            return _ATOM, f"item.{expression.name}"
        case TriggerField():
            return _ATOM, f"trigger.{expression.name}"
        case KeyText():
            return _ATOM, "key"
        case CatalogField():
            return _ATOM, f"catalog(key).{expression.name}"
        case InAudience():
            return _ATOM, f"audience({_quote(expression.audience_id)})"
        case Aggregate():
            operand = "" if expression.operand is None else describe(expression.operand)
            return _ATOM, f"{_rows(expression.rows)}.{expression.fold}({operand})"
        case TestText():
            operand = _within(expression.operand, _ATOM)
            return _ATOM, f"{operand}.{expression.test}({_quote(expression.argument)})"
        case Truth():
            return _form(expression.operand)
        case _:
            return _operation(expression)


def _operation(
    expression: Arithmetic | Compare | OneOf | Not | All | AnyOf,
) -> tuple[int, str]:
    match expression:
        case Arithmetic():
            additive = expression.operator in (Operator.ADD, Operator.SUB)
            level = _ADD if additive else _MULTIPLY
            left = _within(expression.left, level)
            right = _within(expression.right, level + 1)
            return level, f"{left} {expression.operator} {right}"
        case Compare():
            left = _compared(expression.left)
            right = _compared(expression.right)
            return _COMPARE, f"{left} {expression.comparison} {right}"
        case OneOf():
            options = ", ".join(_literal(option) for option in expression.options)
            return _COMPARE, f"{_compared(expression.operand)} in [{options}]"
        case Not():
            return _NOT, f"!{_within(expression.operand, _NOT)}"
        case All():
            return _AND, " && ".join(_within(part, _COMPARE) for part in expression.operands)
        case AnyOf():
            return _OR, " || ".join(_within(part, _AND) for part in expression.operands)
        case _:
            assert_never(expression)


def _compared(expression: Expression) -> str:
    """Return the text of a side of a comparison, where a bare flag could be missing."""
    match expression:
        case Truth(operand=Attribute() | EventField() | ItemField() | TriggerField() as flag):
            return f"({describe(flag)} == true)"
        case Truth(operand=Truth() as condition):
            return _compared(condition)
        case _:
            return _within(expression, _ADD)


def _within(expression: Expression, level: int) -> str:
    """Return the text of an operand, in brackets where its place asks for a tighter form."""
    found, text = _form(expression)
    return text if found >= level else f"({text})"


def _rows(rows: Rows) -> str:
    names = ", ".join(_quote(name) for name in rows.types)
    text = f"{'items' if rows.scope is Scope.ITEM else 'events'}({names})"
    if rows.where is not None:
        text += f".where({describe(rows.where)})"
    if rows.last_ms is not None:
        text += f".last({_duration(rows.last_ms)})"
    if rows.since is not None:
        text += f".since({rows.since})"
    return text


def _duration(span_ms: int) -> str:
    for name, unit_ms in _UNITS:
        if span_ms and span_ms % unit_ms == 0:
            return f"{name}({span_ms // unit_ms})"
    return f'duration("{to_text(span_ms * 1000)}s")'


def _literal(literal: Literal) -> str:
    value = literal.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return _quote(value)
    return _timestamp(value) if literal.kind is Kind.TIME else to_text(value)


def _timestamp(instant_ms: int) -> str:
    try:
        instant = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=instant_ms)
    except OverflowError:
        return f"timestamp({instant_ms} ms)"
    precision = "milliseconds" if instant_ms % 1000 else "seconds"
    text = instant.isoformat(timespec=precision).replace("+00:00", "Z")
    return f'timestamp("{text}")'


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
