"""A rule back as readable CEL, with no more parentheses than it needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import assert_never

from segcore.calendar import year_month_day
from segcore.micro import to_text
from segcore.rule import (
    Age,
    Aggregate,
    All,
    Anniversary,
    AnyOf,
    Arithmetic,
    Attribute,
    Bucket,
    CatalogField,
    Compare,
    EventField,
    Expression,
    Follow,
    FormText,
    Has,
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
    Shift,
    Size,
    TestText,
    TriggerField,
    Truth,
)

_OR, _AND, _COMPARE, _ADD, _MULTIPLY, _NOT, _ATOM = range(7)
"""How tightly a form holds together: what holds less tightly than its place is put in brackets."""

_DAY_MS = 86_400_000
_UNITS = (("days", _DAY_MS), ("hours", 3_600_000), ("minutes", 60_000))


_BEGINNING = 'timestamp("0001-01-01T00:00:00Z")'
_OWNERS = {
    Attribute: "profile",
    EventField: "event",
    ItemField: "item",
    TriggerField: "trigger",
    CatalogField: "catalog(key)",
}


def describe(expression: Expression) -> str:
    """Return `expression` as CEL text.

    >>> from segcore.rule import Fold
    >>> describe(Not(Aggregate(Rows(Scope.EVENT, ("purchase",), None, _DAY_MS), Fold.EXISTS)))
    '!events("purchase").last(days(1)).exists()'
    """
    return _form(expression)[1]


def _form(expression: Expression) -> tuple[int, str]:  # noqa: C901, PLR0911, PLR0912
    """Return how tightly the text of a node holds together, and the text."""
    match expression:
        case Literal():
            return _literal(expression)
        case Attribute() | EventField() | ItemField() | TriggerField() | CatalogField():
            return _ATOM, f"{_OWNERS[type(expression)]}.{expression.name}"
        case KeyText():
            return _ATOM, "key"
        case InAudience():
            return _ATOM, f"audience({_quote(expression.audience_id)})"
        case Bucket():
            return _ATOM, f"bucket({_quote(expression.salt)})"
        case Age():
            return _ATOM, f"age({describe(expression.operand)})"
        case Anniversary():
            return _ATOM, f"anniversary({describe(expression.operand)})"
        case Aggregate():
            operand = "" if expression.operand is None else describe(expression.operand)
            return _ATOM, f"{_rows(expression.rows)}.{expression.fold}({operand})"
        case Size():
            return _ATOM, f"size({describe(expression.operand)})"
        case FormText():
            return _ATOM, f"{_within(expression.operand, _ATOM)}.{expression.form}()"
        case TestText():
            operand = _within(expression.operand, _ATOM)
            return _ATOM, f"{operand}.{expression.test}({_quote(expression.argument)})"
        case Truth():
            return _form(expression.operand)
        case _:
            return _operation(expression)


def _operation(  # noqa: PLR0911
    expression: Arithmetic | Shift | Compare | OneOf | Has | Not | All | AnyOf,
) -> tuple[int, str]:
    match expression:
        case Arithmetic():
            additive = expression.operator in (Operator.ADD, Operator.SUB)
            level = _ADD if additive else _MULTIPLY
            left = _within(expression.left, level)
            right = _within(expression.right, level + 1)
            return level, f"{left} {expression.operator} {right}"
        case Shift():
            sign = "-" if expression.span_ms < 0 else "+"
            return _ADD, f"{_within(expression.operand, _ADD)} {sign} {_span(expression.span_ms)}"
        case Compare():
            left = _compared(expression.left)
            right = _compared(expression.right)
            return _COMPARE, f"{left} {expression.comparison} {right}"
        case OneOf():
            options = ", ".join(_literal(option)[1] for option in expression.options)
            return _COMPARE, f"{_compared(expression.operand)} in [{options}]"
        case Has():
            return _COMPARE, f"{_compared(expression.element)} in {_compared(expression.operand)}"
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
        case Truth(
            operand=Attribute() | EventField() | ItemField() | TriggerField() | Aggregate() as flag
        ):
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
        text += f".last({_span(rows.last_ms)})"
    if rows.older_ms is not None:
        text += f".olderThan({_span(rows.older_ms)})"
    if rows.calendar_days is not None:
        text += f".calendarDays({rows.calendar_days})"
    text += _bounds(rows)
    if rows.since is not None:
        text += f".since({rows.since})"
    if rows.key is not None:
        text += f".by({describe(rows.key)})"
    return text + "".join(_follow(follow) for follow in rows.follows)


def _bounds(rows: Rows) -> str:
    """Return what is kept from and until times: an end alone has the first of all instants."""
    starts, ends = [
        [describe(each) for each in part] for part in (rows.from_times, rows.until_times)
    ]
    paired = [*starts[: len(ends)], *[_BEGINNING] * (len(ends) - len(starts))]
    pairs = zip(paired, ends, strict=True)
    return "".join(f".between({start}, {end})" for start, end in pairs) + "".join(
        f".since({start})" for start in starts[len(ends) :]
    )


def _follow(follow: Follow) -> str:
    name = "notFollowedBy" if follow.absent else "followedBy"
    within = "" if follow.within_ms is None else f", {_span(follow.within_ms)}"
    return f".{name}({_rows(follow.then)}{within})"


def _span(span_ms: int) -> str:
    """Return a duration without its sign."""
    length_ms = abs(span_ms)
    for name, unit_ms in _UNITS:
        if length_ms and length_ms % unit_ms == 0:
            return f"{name}({length_ms // unit_ms})"
    return f'duration("{to_text(length_ms * 1000)}s")'


def _literal(literal: Literal) -> tuple[int, str]:  # noqa: PLR0911
    value = literal.value
    match value:
        case None:
            return _ATOM, "null"
        case bool():
            return _ATOM, "true" if value else "false"
        case str():
            return _ATOM, _quote(value)
        case tuple():
            return _ATOM, f"[{', '.join(_quote(part) for part in value)}]"
        case int() if literal.kind is Kind.TIME:
            return _ATOM, _timestamp(value)
        case int() if literal.kind is Kind.DATE:
            year, month, day = year_month_day(value)
            return _ATOM, f'date("{year:04}-{month:02}-{day:02}")'
        case int() if literal.kind is Kind.SPAN:
            return (_NOT, f"-{_span(value)}") if value < 0 else (_ATOM, _span(value))
        case _:
            return _ATOM, to_text(value)


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
