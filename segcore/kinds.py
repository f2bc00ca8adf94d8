"""Whether a rule is well formed: kinds agree, and each node stands where it may.

The checker of rule texts refuses all of this with a better message; this is the last gate, for
rules that were stored.
"""

from __future__ import annotations

from segcore.instance import CATALOG_KINDS, is_instance_word
from segcore.limits import CALENDAR_DAYS_LIMIT, WINDOW_LIMIT_MS, check_limits
from segcore.micro import INT64_MAX, TIME_LIMIT_MS
from segcore.nodes import Node, nodes_of
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
    Comparison,
    EventField,
    Expression,
    Fold,
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
    Rows,
    Scope,
    Shift,
    Size,
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
LITERAL_TYPES: dict[Kind | None, type] = {
    Kind.NUMBER: int,
    Kind.TEXT: str,
    Kind.FLAG: bool,
    Kind.TIME: int,
    Kind.DATE: int,
    Kind.TEXTS: tuple,
    Kind.SPAN: int,
    None: type(None),
}
"""What a literal of each kind holds."""

_NOT_BELOW_ROWS: dict[type, str] = {
    Attribute: "profile",
    InAudience: "audience",
    Age: "age",
    Anniversary: "anniversary",
    Bucket: "bucket",
    Aggregate: "rows",
    CatalogField: "catalog",
}
"""What speaks of a person or of now, as rules call it."""

_EQUALITIES = (Comparison.EQ, Comparison.NE)
_WITHOUT_ORDER = (Kind.FLAG, Kind.TEXTS)
_STORED = tuple(kind for kind in Kind if kind is not Kind.SPAN)
_OPERANDS = {
    Fold.EXISTS: (),
    Fold.COUNT: (),
    Fold.SUM: (Kind.NUMBER,),
    Fold.AVG: (Kind.NUMBER,),
    Fold.MIN: (Kind.NUMBER, Kind.TIME),
    Fold.MAX: (Kind.NUMBER, Kind.TIME),
    Fold.DISTINCT: _STORED,
    Fold.LATEST: _STORED,
    Fold.EARLIEST: _STORED,
}
"""The kinds of what each fold takes of a row; none for a fold that takes nothing."""

_ENDS = (Fold.LATEST, Fold.EARLIEST)


def kind_of(expression: Expression) -> Kind | None:  # noqa: PLR0911
    """Return the kind of what `expression` comes to; None for `null`."""
    match expression:
        case Literal() | Attribute() | EventField() | ItemField() | TriggerField() | CatalogField():
            return expression.kind
        case KeyText() | FormText():
            return Kind.TEXT
        case Arithmetic() | Size() | Bucket():
            return Kind.NUMBER
        case Shift():
            return Kind.TIME
        case Age():
            return Kind.SPAN
        case Aggregate():
            return _kind_of_aggregate(expression)
        case _:
            return Kind.FLAG


def _kind_of_aggregate(aggregate: Aggregate) -> Kind | None:
    match aggregate.fold:
        case Fold.EXISTS:
            return Kind.FLAG
        case Fold.MIN | Fold.MAX | Fold.LATEST | Fold.EARLIEST:
            return Kind.TIME if aggregate.operand is None else kind_of(aggregate.operand)
        case _:
            return Kind.NUMBER


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
    check_limits(condition)
    _expect(condition, Kind.FLAG)
    _check(condition, None)


def _check(expression: Expression, scope: Scope | None) -> None:  # noqa: C901, PLR0912
    """Check one node and all below it; `scope` is that of the rows around it."""
    if scope is not None and type(expression) in _NOT_BELOW_ROWS:
        raise _mistake(expression, f"no {_NOT_BELOW_ROWS[type(expression)]} below rows")
    match expression:
        case Literal():
            _check_literal(expression)
        case Attribute() | EventField() | ItemField() | TriggerField() | CatalogField():
            _check_field(expression, scope)
        case Arithmetic():
            for operand in (expression.left, expression.right):
                _expect(operand, Kind.NUMBER)
                _check(operand, scope)
        case Compare():
            _check_compare(expression, scope)
        case OneOf():
            _check_one_of(expression, scope)
        case Has():
            _expect(expression.element, Kind.TEXT)
            _expect(expression.operand, Kind.TEXTS)
            _check(expression.element, scope)
            _check(expression.operand, scope)
        case All() | AnyOf():
            if not expression.operands:
                raise _mistake(expression, "at least one operand")
            for operand in expression.operands:
                _expect(operand, Kind.FLAG)
                _check(operand, scope)
        case Aggregate():
            _check_aggregate(expression)
        case TestText() | FormText():
            _check_operand(expression, expression.operand, scope, Kind.TEXT)
        case Size():
            _check_operand(expression, expression.operand, scope, Kind.TEXT, Kind.TEXTS)
        case Truth() | Not():
            _check_operand(expression, expression.operand, scope, Kind.FLAG)
        case Shift():
            _check_operand(expression, expression.operand, scope, Kind.TIME)
            _check_span(expression, expression.span_ms, -TIME_LIMIT_MS, TIME_LIMIT_MS)
        case Age():
            raise _mistake(expression, "an age beside a constant span only")
        case Anniversary():
            _check_operand(expression, expression.operand, scope, Kind.DATE, Kind.TIME)


def _check_operand(node: Node, operand: Expression, scope: Scope | None, *kinds: Kind) -> None:
    """Check what a node is made of, which is of one of these kinds."""
    _expect_one(node, operand, kinds)
    _check(operand, scope)


def _check_field(  # noqa: C901
    field: Attribute | EventField | ItemField | TriggerField | CatalogField, scope: Scope | None
) -> None:
    if field.kind is Kind.SPAN:
        raise _mistake(field, "a kind that values can have")
    match field:
        case EventField() | TriggerField():
            if scope is None and isinstance(field, EventField):
                raise _mistake(field, "event fields below rows only")
            if _EVENT_KINDS.get(field.name, field.kind) is not field.kind:
                raise _mistake(field, f"{field.name} as {_EVENT_KINDS[field.name]}")
        case CatalogField():
            if CATALOG_KINDS.get(field.name) is not field.kind:
                raise _mistake(field, f"one of {sorted(CATALOG_KINDS)} with its kind")
        case ItemField():
            if scope is not Scope.ITEM:
                raise _mistake(field, "item fields below rows of items only")
            if _ITEM_KINDS.get(field.name) is not field.kind:
                raise _mistake(field, f"one of {sorted(_ITEM_KINDS)} with its kind")
        case Attribute():
            pass


def _check_literal(literal: Literal) -> None:
    value = literal.value
    if type(value) is not LITERAL_TYPES[literal.kind]:
        raise _mistake(literal, f"a value of kind {literal.kind}")
    if isinstance(value, int) and abs(value) > INT64_MAX:
        raise _mistake(literal, "a number of 64 bits")
    if literal.kind in (Kind.TIME, Kind.DATE, Kind.SPAN):
        _check_span(literal, int(str(value)), -TIME_LIMIT_MS, TIME_LIMIT_MS)
    if isinstance(value, tuple) and any(type(part) is not str or "\x1f" in part for part in value):
        raise _mistake(literal, "texts without U+001F")


def _check_compare(compare: Compare, scope: Scope | None) -> None:
    left, right = compare.left, compare.right
    if isinstance(left, Age) and _is_span(right):
        _check_age(left, scope)
        return
    if isinstance(right, Age) and _is_span(left):
        _check_age(right, scope)
        return
    kinds = kind_of(left), kind_of(right)
    if None not in kinds and kinds[0] is not kinds[1]:
        raise _mistake(compare, f"two values of one kind, not {kinds[0]} and {kinds[1]}")
    for kind in _WITHOUT_ORDER:
        if kind in kinds and compare.comparison not in _EQUALITIES:
            raise _mistake(compare, f"no order of kind {kind}")
    if Kind.SPAN in kinds:
        raise _mistake(compare, "an age beside a constant span only")
    _check(left, scope)
    _check(right, scope)


def _is_span(expression: Expression) -> bool:
    if not isinstance(expression, Literal) or expression.kind is not Kind.SPAN:
        return False
    _check_literal(expression)
    return True


def _check_age(age: Age, scope: Scope | None) -> None:
    if scope is not None:
        raise _mistake(age, "no age below rows")
    _check_operand(age, age.operand, scope, Kind.TIME)


def _check_one_of(one_of: OneOf, scope: Scope | None) -> None:
    kind = kind_of(one_of.operand)
    if kind in (Kind.TEXTS, Kind.SPAN):
        raise _mistake(one_of, f"an operand of a single value, not of kind {kind}")
    _check(one_of.operand, scope)
    for option in one_of.options:
        if option.kind not in (None, kind):
            raise _mistake(option, f"an option of kind {kind}")
        _check_literal(option)


def _check_aggregate(aggregate: Aggregate) -> None:
    _check_rows(aggregate.rows)
    kinds = _OPERANDS[aggregate.fold]
    operand = aggregate.operand
    if operand is None:
        if kinds and aggregate.fold not in _ENDS:
            raise _mistake(aggregate, f"an operand for {aggregate.fold}")
        return
    if not kinds:
        raise _mistake(aggregate, f"no operand for {aggregate.fold}")
    _expect_one(aggregate, operand, kinds)
    _check(operand, aggregate.rows.scope)


def _check_rows(rows: Rows) -> None:
    if not rows.types:
        raise _mistake(rows, "at least one event type")
    for span_ms in (rows.last_ms, rows.older_ms):
        if span_ms is not None:
            _check_span(rows, span_ms, 1, WINDOW_LIMIT_MS)
    if rows.calendar_days is not None and not 1 <= rows.calendar_days <= CALENDAR_DAYS_LIMIT:
        raise _mistake(rows, f"1 to {CALENDAR_DAYS_LIMIT} calendar days")
    if rows.where is not None:
        _check_operand(rows, rows.where, rows.scope, Kind.FLAG)
    if rows.key is not None:
        _check_operand(rows, rows.key, rows.scope, Kind.TEXT)
    for bound in (*rows.from_times, *rows.until_times):
        _check_bound(rows, bound)
    for follow in rows.follows:
        _check_follow(rows, follow)


def _check_bound(rows: Rows, bound: Expression) -> None:
    """Check a time of the person from which or until which rows count."""
    _expect_one(rows, bound, (Kind.TIME, None))
    match bound:
        case Literal() | Attribute() | TriggerField():
            _check(bound, None)
        case Shift():
            _check(bound, None)
            _check_bound(rows, bound.operand)
        case Aggregate(fold=Fold.LATEST | Fold.EARLIEST):
            _check_aggregate(bound)
        case _:
            raise _mistake(bound, "a constant, an attribute, or the time of a newest or oldest row")


def _check_follow(rows: Rows, follow: Follow) -> None:
    if follow.within_ms is not None:
        _check_span(follow, follow.within_ms, 1, WINDOW_LIMIT_MS)
    if (rows.key is None) != (follow.then.key is None):
        raise _mistake(follow, "a key on both sides or on neither")
    _check_rows(follow.then)


def _check_span(node: Node, span_ms: int, least: int, most: int) -> None:
    if not least <= span_ms <= most:
        raise _mistake(node, f"from {least} to {most}")


def _expect_one(node: Node, operand: Expression, kinds: tuple[Kind | None, ...]) -> None:
    found = kind_of(operand)
    if found not in kinds:
        names = " or ".join(str(kind) for kind in kinds)
        place = operand if operand.at >= 0 else node
        raise _mistake(place, f"a value of kind {names}, not {found}")


def _expect(expression: Expression, kind: Kind) -> None:
    _expect_one(expression, expression, (kind,))


def _mistake(node: Node, expected: str) -> ValueError:
    return ValueError(f"{type(node).__name__} at offset {node.at}: expected {expected}")
