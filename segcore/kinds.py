"""Whether a rule is well formed: kinds agree, and fields stand where there are rows to read.

The checker of rule texts refuses all of this with a better message; this is the last gate, for
rules that were stored.
"""

from __future__ import annotations

from segcore.instance import CATALOG_KINDS, is_instance_word
from segcore.micro import INT64_MAX, TIME_LIMIT_MS
from segcore.reference import nodes_of
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Attribute,
    CatalogField,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Not,
    OneOf,
    Rows,
    Scope,
    TestText,
    TriggerField,
    Truth,
)

_EVENT_KINDS = {
    "id": Kind.TEXT,
    "type": Kind.TEXT,
    "occurred_at": Kind.TIME,
    "received_at": Kind.TIME,
}
_ITEM_KINDS = {
    "sku": Kind.TEXT,
    "category": Kind.TEXT,
    "brand": Kind.TEXT,
    "price": Kind.NUMBER,
    "quantity": Kind.NUMBER,
}


def kind_of(expression: Expression) -> Kind | None:
    """Return the kind of what `expression` comes to; None for `null`."""
    match expression:
        case Literal() | Attribute() | EventField() | ItemField() | TriggerField() | CatalogField():
            return expression.kind
        case KeyText():
            return Kind.TEXT
        case Arithmetic():
            return Kind.NUMBER
        case Aggregate():
            return Kind.FLAG if expression.fold is Fold.EXISTS else Kind.NUMBER
        case _:
            return Kind.FLAG


def check_rule(rule: Expression) -> None:
    """Raise ValueError, with the offset of the node, unless an audience may have `rule`."""
    check_condition(rule)
    for node in nodes_of(rule):
        if is_instance_word(node):
            raise _mistake(
                node, "a rule that speaks of a person alone, not of a journey's instance"
            )


def check_condition(condition: Expression) -> None:
    """Raise ValueError, with the offset of the node, unless this is a well-formed condition.

    It may speak of an instance.
    """
    _expect(condition, Kind.FLAG)
    _check(condition, None)


def _check(expression: Expression, scope: Scope | None) -> None:  # noqa: C901, PLR0912
    """Check one node and all below it; `scope` is that of the rows around it."""
    match expression:
        case Literal():
            _check_literal(expression)
        case Attribute() | InAudience():
            if scope is not None:
                raise _mistake(expression, "no profile and no audience below rows")
        case EventField() | TriggerField():
            if scope is None and isinstance(expression, EventField):
                raise _mistake(expression, "event fields below rows only")
            if _EVENT_KINDS.get(expression.name, expression.kind) is not expression.kind:
                raise _mistake(expression, f"{expression.name} as {_EVENT_KINDS[expression.name]}")
        case CatalogField():
            if scope is not None:
                raise _mistake(expression, "no catalog below rows")
            if CATALOG_KINDS.get(expression.name) is not expression.kind:
                raise _mistake(expression, f"one of {sorted(CATALOG_KINDS)} with its kind")
        case ItemField():
            if scope is not Scope.ITEM:
                raise _mistake(expression, "item fields below rows of items only")
            if _ITEM_KINDS.get(expression.name) is not expression.kind:
                raise _mistake(expression, f"one of {sorted(_ITEM_KINDS)} with its kind")
        case Arithmetic():
            for operand in (expression.left, expression.right):
                _expect(operand, Kind.NUMBER)
                _check(operand, scope)
        case Compare():
            _check_compare(expression, scope)
        case OneOf():
            _check_one_of(expression, scope)
        case TestText():
            _expect(expression.operand, Kind.TEXT)
            _check(expression.operand, scope)
        case Truth() | Not():
            _expect(expression.operand, Kind.FLAG)
            _check(expression.operand, scope)
        case All() | AnyOf():
            if not expression.operands:
                raise _mistake(expression, "at least one operand")
            for operand in expression.operands:
                _expect(operand, Kind.FLAG)
                _check(operand, scope)
        case Aggregate():
            if scope is not None:
                raise _mistake(expression, "no rows below rows")
            _check_aggregate(expression)


def _check_literal(literal: Literal) -> None:
    expected = {Kind.NUMBER: int, Kind.TIME: int, Kind.TEXT: str, Kind.FLAG: bool}
    if type(literal.value) is not (type(None) if literal.kind is None else expected[literal.kind]):
        raise _mistake(literal, f"a value of kind {literal.kind}")
    if isinstance(literal.value, int) and abs(literal.value) > INT64_MAX:
        raise _mistake(literal, "a number of 64 bits")


def _check_compare(compare: Compare, scope: Scope | None) -> None:
    left, right = kind_of(compare.left), kind_of(compare.right)
    if left is not None and right is not None and left is not right:
        raise _mistake(compare, f"two values of one kind, not {left} and {right}")
    if Kind.FLAG in (left, right) and compare.comparison not in (Comparison.EQ, Comparison.NE):
        raise _mistake(compare, "no order of flags")
    _check(compare.left, scope)
    _check(compare.right, scope)


def _check_one_of(one_of: OneOf, scope: Scope | None) -> None:
    _check(one_of.operand, scope)
    for option in one_of.options:
        if option.kind not in (None, kind_of(one_of.operand)):
            raise _mistake(option, f"an option of kind {kind_of(one_of.operand)}")
        _check_literal(option)


def _check_aggregate(aggregate: Aggregate) -> None:
    rows: Rows = aggregate.rows
    if not rows.types:
        raise _mistake(rows, "at least one event type")
    if rows.last_ms is not None and abs(rows.last_ms) > TIME_LIMIT_MS:
        raise _mistake(rows, f"a window of at most {TIME_LIMIT_MS} ms")
    if rows.last_ms is not None and rows.since is not None:
        raise _mistake(rows, "`last` or `since`, not both")
    if rows.where is not None:
        _expect(rows.where, Kind.FLAG)
        _check(rows.where, rows.scope)
    if (aggregate.operand is not None) != (aggregate.fold is Fold.SUM):
        raise _mistake(aggregate, "an operand for sum and for nothing else")
    if aggregate.operand is not None:
        _expect(aggregate.operand, Kind.NUMBER)
        _check(aggregate.operand, rows.scope)


def _expect(expression: Expression, kind: Kind) -> None:
    found = kind_of(expression)
    if found is not kind:
        raise _mistake(expression, f"a value of kind {kind}, not {found}")


def _mistake(node: Expression | Rows, expected: str) -> ValueError:
    return ValueError(f"{type(node).__name__} at offset {node.at}: expected {expected}")
