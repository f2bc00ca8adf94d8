"""Events made up so that they bring rows that a rule wants: values are tried until one fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from segcore.calendar import DAY_MS
from segcore.evaluation import Moment, value_at
from segcore.history import Event, Item
from segcore.nodes import Node, nodes_of
from segcore.row import Row, rows_of_event
from segcore.rule import (
    MICRO,
    NUMBER_LIMIT,
    EventField,
    Expression,
    FormText,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Rows,
    Scope,
    TestText,
    TextForm,
    TriggerField,
)
from segcore.scalar import Value, form_text
from segcore.trial import plain_value

_ALWAYS_THERE = ("id", "type", "occurred_at", "received_at")
_TRIES = 2_000
"""Combinations of values that are tried for one row: a `where` of a few tests needs some dozens."""

_CENT = MICRO // 100
Pool = Mapping[Kind, list[Value]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row that is looked for: of `rows`, with this key and this value of the operand, if any."""

    rows: Rows
    key: Value = None
    operand: Expression | None = None
    amount: int | None = None


def pool_of(nodes: list[Node], moment: Moment) -> dict[Kind, list[Value]]:
    """Return the values of each kind that some nodes speak of, and values just beside them."""
    pool: dict[Kind, list[Value]] = {kind: [] for kind in Kind}
    for node in nodes:
        if isinstance(node, Literal) and node.kind is not None:
            pool[node.kind] += _near(node.value, node.kind)
        if isinstance(node, TestText):
            pool[Kind.TEXT] += _near(node.argument, Kind.TEXT)
        if isinstance(node, KeyText | TriggerField) and moment.instance is not None:
            kind = Kind.TEXT if isinstance(node, KeyText) else node.kind
            pool[kind].append(value_at(node, moment))
    if any(isinstance(node, FormText) for node in nodes):
        pool[Kind.TEXT] += [form_text(form, text) for text in pool[Kind.TEXT] for form in TextForm]
    pool[Kind.TEXTS] += [(text,) for text in pool[Kind.TEXT] if isinstance(text, str)] + [()]
    pool[Kind.FLAG] += [True, False]
    pool[Kind.NUMBER] += [MICRO]
    horizon_ms = moment.horizon_ms
    pool[Kind.TIME] += [horizon_ms]
    pool[Kind.TIME] += [horizon_ms - span for span in pool[Kind.SPAN] if isinstance(span, int)]
    pool[Kind.DATE] += [horizon_ms // DAY_MS]
    return pool


def _near(value: Value, kind: Kind) -> list[Value]:
    match value:
        case bool() | None:
            return [value]
        case int() if kind is Kind.NUMBER:
            whole = [value + MICRO, value - MICRO]
            near = [value, value + _CENT, value - _CENT, *whole]
            return [each for each in near if abs(each) <= NUMBER_LIMIT * MICRO]
        case int():
            return [value, value + 1, value - 1]
        case str():
            return [value, f"{value}x", f"x{value}"]
        case _:
            return [value]


def events_for(wanted: Wanted, moment: Moment, serial: int, pool: Pool) -> Iterator[Event]:
    """Return made up events that bring just such a row; `serial` makes one unlike the others."""
    parts = [part for part in (wanted.rows.where, wanted.operand, wanted.rows.key) if part]
    fields = _fields(parts)
    own = pool_of([node for part in parts for node in nodes_of(part)], moment)
    fresh = f"new-{serial}"
    choices = []
    for field in fields:
        values = [*own[field.kind], *pool.get(field.kind, [])]
        if field.kind is Kind.TEXT:
            values = [wanted.key, fresh, *values] if wanted.key is not None else [fresh, *values]
        if field.kind is Kind.NUMBER and wanted.amount is not None:
            values = [wanted.amount, MICRO, *values]
        choices.append(list(dict.fromkeys([*values, None])))
    for chosen in islice(product(*choices), _TRIES):
        filled = {
            (isinstance(field, ItemField), field.name): plain_value(value, field.kind)
            for field, value in zip(fields, chosen, strict=True)
        }
        for type_ in wanted.rows.types:
            event = _event(wanted.rows.scope, type_, fresh, filled)
            if event is not None and _fits(wanted, event, moment):
                yield event


def _fields(parts: list[Expression]) -> list[EventField | ItemField]:
    found: dict[tuple[bool, str], EventField | ItemField] = {}
    for part in parts:
        for node in nodes_of(part):
            if isinstance(node, ItemField) or (
                isinstance(node, EventField) and node.name not in _ALWAYS_THERE
            ):
                found.setdefault((isinstance(node, ItemField), node.name), node)
    return list(found.values())


def _event(
    scope: Scope, type_: str, fresh: str, filled: Mapping[tuple[bool, str], Any]
) -> Event | None:
    properties = {name: value for (of_item, name), value in filled.items() if not of_item}
    line = {name: value for (of_item, name), value in filled.items() if of_item}
    if None in (line.get("sku", fresh), line.get("quantity", 1.0)):
        return None
    items = (Item(**{"sku": fresh, **line}),) if scope is Scope.ITEM else ()
    present = {name: value for name, value in properties.items() if value is not None}
    return Event(fresh, type_, 0, 0, "", present, items)


def _fits(wanted: Wanted, event: Event, moment: Moment) -> bool:
    (row,) = rows_of_event(wanted.rows.scope, event)
    return _holds(wanted.rows, row, moment) and _gives(wanted, row, moment)


def _holds(rows: Rows, row: Row, moment: Moment) -> bool:
    return rows.where is None or value_at(rows.where, moment, row) is True


def _gives(wanted: Wanted, row: Row, moment: Moment) -> bool:
    rows, operand = wanted.rows, wanted.operand
    if wanted.key is not None and rows.key is not None:
        return value_at(rows.key, moment, row) == wanted.key
    if operand is None or wanted.amount is None:
        return True
    return value_at(operand, moment, row) == wanted.amount
