"""Every rule in plain Python, slowly and obviously: the specification and the oracle.

The incremental engine, its bulk builds and a restored snapshot must agree with this on every
history. Numbers are millionths, times are milliseconds, None is missing.

An instant has two phases: inputs come first, then what time changes. `settled=False` asks for the
state between them, in which a row that leaves at `now_ms` itself is still there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import assert_never

from segcore.history import Event, History, Item, PropertyValue, kind_of_value
from segcore.instance import Instance
from segcore.micro import bounded, divide_half_even, from_float
from segcore.rule import (
    MICRO,
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
    Operator,
    Rows,
    Scope,
    TestText,
    TextTest,
    TriggerField,
    Truth,
)

Value = int | str | bool | None
"""What an expression comes to; None is missing."""

Membership = Callable[[str], bool]
"""Tells whether the person is in the audience of that id."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: an event, or one line of it."""

    event: Event
    item: Item | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What an expression is evaluated over: one person, or one instance of theirs, now."""

    history: History
    now_ms: int
    in_audience: Membership
    settled: bool = True
    instance: Instance | None = None

    @property
    def horizon_ms(self) -> int:
        """The last instant whose time changes have happened."""
        return self.now_ms if self.settled else self.now_ms - 1


def evaluate(  # noqa: PLR0913
    expression: Expression,
    history: History,
    now_ms: int,
    in_audience: Membership,
    *,
    settled: bool = True,
    instance: Instance | None = None,
) -> Value:
    """Return what `expression` comes to for the person with `history` at `now_ms`.

    `instance` is what a condition of a journey speaks of; without it such a one raises ValueError.
    """
    return value_at(expression, Moment(history, now_ms, in_audience, settled, instance))


def value_at(expression: Expression, moment: Moment, row: Row | None = None) -> Value:  # noqa: C901, PLR0911, PLR0912
    """Return the value of one node; `row` is there below `where` and an aggregate's operand."""
    match expression:
        case Literal():
            return expression.value
        case Attribute():
            return _of_kind(_attribute(expression.name, moment.history), expression.kind)
        case EventField():
            assert row is not None, "event fields stand below rows only"  # noqa: S101
            return _of_kind(_event_field(expression.name, row.event), expression.kind)
        case ItemField():
            assert row is not None, "item fields stand below rows only"  # noqa: S101
            return _of_kind(_item_field(expression.name, row.item), expression.kind)
        case Arithmetic():
            left = value_at(expression.left, moment, row)
            right = value_at(expression.right, moment, row)
            return _arithmetic(expression.operator, left, right)
        case Compare():
            left = value_at(expression.left, moment, row)
            right = value_at(expression.right, moment, row)
            return _compare(expression.comparison, left, right)
        case OneOf():
            operand = value_at(expression.operand, moment, row)
            return operand is not None and operand in [o.value for o in expression.options]
        case TestText():
            return _test(expression, value_at(expression.operand, moment, row))
        case Truth():
            return value_at(expression.operand, moment, row) is True
        case Not():
            return value_at(expression.operand, moment, row) is not True
        case All():
            return all(value_at(part, moment, row) is True for part in expression.operands)
        case AnyOf():
            return any(value_at(part, moment, row) is True for part in expression.operands)
        case Aggregate():
            return _aggregate(expression, moment)
        case InAudience():
            return moment.in_audience(expression.audience_id)
        case TriggerField():
            return _of_kind(_trigger_field(expression.name, moment), expression.kind)
        case KeyText():
            return _instance(moment).key
        case CatalogField():
            return _of_kind(_instance(moment).catalog_field(expression.name), expression.kind)
        case _:
            assert_never(expression)


def rows_at(rows: Rows, moment: Moment) -> list[Row]:
    """Return the rows that are kept at the moment, in order of arrival."""
    kept: list[Row] = []
    for event in moment.history.events:
        if event.type not in rows.types:
            continue
        if rows.last_ms is not None and event.occurred_ms <= moment.horizon_ms - rows.last_ms:
            continue
        if rows.last_ms is not None and event.occurred_ms > moment.now_ms:
            continue
        if rows.since is not None and not _instance(moment).counts(event, rows.since):
            continue
        kept += _where_holds(rows, event, moment)
    return kept


def rows_of(rows: Rows, event: Event) -> list[Row]:
    """Return the rows that one event brings, of those that `rows` names: by type and `where` alone.

    This is what enters a journey; `last` and `since` have no part in it.
    """
    if event.type not in rows.types:
        return []
    return _where_holds(rows, event, Moment(History(), event.received_ms, lambda _: False))


def _where_holds(rows: Rows, event: Event, moment: Moment) -> list[Row]:
    return [
        row
        for row in rows_of_event(rows.scope, event)
        if rows.where is None or value_at(rows.where, moment, row) is True
    ]


def rows_of_event(scope: Scope, event: Event) -> list[Row]:
    """Return the rows of one event: itself, or its lines (a bare `sku` is one, of quantity 1)."""
    if scope is Scope.EVENT:
        return [Row(event)]
    if event.items:
        return [Row(event, item, line) for line, item in enumerate(event.items)]
    sku = event.properties.get("sku")
    if not isinstance(sku, str):
        return []
    category = event.properties.get("category")
    brand = event.properties.get("brand")
    price = event.properties.get("price")
    item = Item(
        sku=sku,
        category=category if isinstance(category, str) else None,
        brand=brand if isinstance(brand, str) else None,
        price=price if isinstance(price, float) else None,
        quantity=1.0,
    )
    return [Row(event, item)]


def next_change_ms(  # noqa: PLR0913
    expression: Expression,
    history: History,
    now_ms: int,
    in_audience: Membership,
    *,
    settled: bool = True,
    rules: Mapping[str, Expression] | None = None,
    instance: Instance | None = None,
) -> int | None:
    """Return the next instant at which time alone changes the value, or None where it never does.

    Memberships stand as `in_audience` says, but audiences whose rule is in `rules` (with all that
    those refer to) are followed through time.
    """
    known = rules or {}
    followed = _followed(expression, known)

    def at(instant_ms: int, *, settled: bool) -> Value:
        inside: dict[str, bool] = {}

        def member(audience_id: str) -> bool:
            return inside[audience_id] if audience_id in known else in_audience(audience_id)

        moment = Moment(history, instant_ms, member, settled, instance)
        for audience_id in followed:
            inside[audience_id] = value_at(known[audience_id], moment) is True
        return value_at(expression, moment)

    horizon_ms = now_ms if settled else now_ms - 1
    current = at(now_ms, settled=settled)
    roots = (expression, *(known[audience_id] for audience_id in followed))
    instants = set().union(*(_departures(root, history) for root in roots))
    for instant_ms in sorted(instants):
        if instant_ms > horizon_ms and at(instant_ms, settled=True) != current:
            return instant_ms
    return None


def nodes_of(expression: Expression | Rows) -> Iterator[Expression | Rows]:
    """Return every node of `expression`, itself first; `Rows` counts as a node."""
    yield expression
    for child in children_of(expression):
        yield from nodes_of(child)


def children_of(expression: Expression | Rows) -> list[Expression | Rows]:
    """Return the nodes that stand directly below this one."""
    parts: list[Expression | Rows] = []
    for field in fields(expression):
        value = getattr(expression, field.name)
        candidates = value if isinstance(value, tuple) else (value,)
        parts += [part for part in candidates if isinstance(part, Expression | Rows)]
    return parts


def _followed(expression: Expression, rules: Mapping[str, Expression]) -> list[str]:
    """Return the audiences of `rules` that this refers to, each once and after its own parents."""
    order: dict[str, None] = {}
    pending = [(audience_id, False) for audience_id in _audiences_in(expression)]
    while pending:
        audience_id, parents_done = pending.pop()
        if parents_done:
            order[audience_id] = None
        elif audience_id in rules and audience_id not in order:
            pending.append((audience_id, True))
            pending += [(parent, False) for parent in _audiences_in(rules[audience_id])]
    return list(order)


def _audiences_in(expression: Expression) -> list[str]:
    return [node.audience_id for node in nodes_of(expression) if isinstance(node, InAudience)]


def _departures(expression: Expression, history: History) -> set[int]:
    instants: set[int] = set()
    for node in nodes_of(expression):
        if isinstance(node, Rows) and node.last_ms is not None:
            instants |= {
                event.occurred_ms + node.last_ms
                for event in history.events
                if event.type in node.types
            }
    return instants


def _aggregate(aggregate: Aggregate, moment: Moment) -> Value:
    rows = rows_at(aggregate.rows, moment)
    if aggregate.fold is Fold.EXISTS:
        return bool(rows)
    if aggregate.fold is Fold.COUNT:
        return len(rows) * MICRO
    if aggregate.operand is None:
        raise ValueError("expected an operand for sum, found none")
    values = [value_at(aggregate.operand, moment, row) for row in rows]
    return bounded(sum(value for value in values if isinstance(value, int)))


def _attribute(name: str, history: History) -> PropertyValue | None:
    latest_ms = None
    value = None
    for change in history.attribute_changes:
        if name in change.values and (latest_ms is None or change.as_of_ms >= latest_ms):
            latest_ms = change.as_of_ms
            value = change.values[name]
    return value


def _event_field(name: str, event: Event) -> PropertyValue | None:
    intrinsic: dict[str, PropertyValue] = {
        "id": event.event_id,
        "type": event.type,
        "occurred_at": event.occurred_ms,
        "received_at": event.received_ms,
    }
    return intrinsic.get(name, event.properties.get(name))


def _instance(moment: Moment) -> Instance:
    if moment.instance is None:
        raise ValueError("expected an instance of a journey to speak of, found none")
    return moment.instance


def _trigger_field(name: str, moment: Moment) -> PropertyValue | None:
    instance = _instance(moment)
    if instance.trigger is None:
        return None
    return instance.triggered_as if name == "type" else _event_field(name, instance.trigger)


def _item_field(name: str, item: Item | None) -> PropertyValue | None:
    if item is None:
        raise ValueError(f"expected a row of items for item.{name}, found a row of events")
    values = {
        "sku": item.sku,
        "category": item.category,
        "brand": item.brand,
        "price": item.price,
        "quantity": item.quantity,
    }
    return values[name]


def _of_kind(value: PropertyValue | None, kind: Kind) -> Value:
    """Return the value as rules see it; missing where it is of another kind than declared."""
    if value is None or kind_of_value(value) is not kind:
        return None
    return from_float(value) if isinstance(value, float) else value


def _arithmetic(symbol: Operator, left: Value, right: Value) -> int | None:
    if not isinstance(left, int) or not isinstance(right, int):
        return None
    match symbol:
        case Operator.ADD:
            return bounded(left + right)
        case Operator.SUB:
            return bounded(left - right)
        case Operator.MUL:
            return bounded(divide_half_even(left * right, MICRO))
        case Operator.DIV:
            return None if right == 0 else bounded(divide_half_even(left * MICRO, right))
        case _:
            assert_never(symbol)


_ORDERS: dict[Comparison, Callable[..., bool]] = {
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
}


def _compare(comparison: Comparison, left: Value, right: Value) -> bool:
    if comparison is Comparison.EQ:
        return left == right
    if comparison is Comparison.NE:
        return left != right
    return left is not None and right is not None and _ORDERS[comparison](left, right)


def _test(expression: TestText, operand: Value) -> bool:
    if not isinstance(operand, str):
        return False
    match expression.test:
        case TextTest.STARTS_WITH:
            return operand.startswith(expression.argument)
        case TextTest.ENDS_WITH:
            return operand.endswith(expression.argument)
        case TextTest.CONTAINS:
            return expression.argument in operand
        case _:
            assert_never(expression.test)
