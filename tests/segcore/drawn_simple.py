"""Rules of plain conditions over rows in rolling windows, and what they are about, at random."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from segcore.history import Event, Item
from segcore.micro import INT64_MAX, from_float
from segcore.rule import (
    MICRO,
    NUMBER_LIMIT,
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    Kind,
    Literal,
    Not,
    OneOf,
    Operator,
    Rows,
    Scope,
    TestText,
    TextTest,
    Truth,
)

TYPES = ("view", "buy", "back")
TEXTS = ("", "x", "xy", "yx", "é", "z\U0001f600", "\uffff")
NUMBERS = (-2.5, -1.0, 0.0, 0.000001, 0.5, 1.0, 1.5, 3.0, 399.99, 8_999_999_999.999999)
TIMES = (-3, 0, 1, 15, 40)
WINDOWS = (1, 4, 10, 25)
KINDS = (Kind.NUMBER, Kind.TEXT, Kind.FLAG, Kind.TIME)
NAMES = {"n": Kind.NUMBER, "t": Kind.TEXT, "f": Kind.FLAG, "w": Kind.TIME, "sku": Kind.TEXT}

VALUES: dict[Kind, SearchStrategy[Any]] = {
    Kind.NUMBER: st.sampled_from(NUMBERS),
    Kind.TEXT: st.sampled_from(TEXTS),
    Kind.FLAG: st.booleans(),
    Kind.TIME: st.sampled_from(TIMES),
}


def _literals(kind: Kind) -> SearchStrategy[Any]:
    if kind is Kind.NUMBER:
        micros = [round(number * 1e6) for number in NUMBERS]
        return st.sampled_from([*micros, 2 * MICRO, 7, INT64_MAX])
    return VALUES[kind]


_orders = [Comparison.LT, Comparison.LE, Comparison.GT, Comparison.GE]
_equalities = [Comparison.EQ, Comparison.NE]


@dataclass(frozen=True)
class Draw:
    """Draws expressions; `scope` is that of the rows around them, None at the level of a person."""

    draw: st.DrawFn
    scope: Scope | None
    audiences: tuple[str, ...] = ()

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def maybe(self) -> bool:
        return self.draw(st.booleans())

    def literal(self, kind: Kind) -> Literal:
        return Literal(self.draw(_literals(kind)), kind, self.draw(st.integers(-1, 3)))

    def field(self, kind: Kind) -> Expression:
        names = [name for name, own in NAMES.items() if own is kind]
        if self.scope is None:
            return Attribute(self.pick(*names), kind)
        if self.scope is Scope.ITEM and kind is Kind.NUMBER and self.maybe():
            return ItemField(self.pick("price", "quantity"), kind)
        if self.scope is Scope.ITEM and kind is Kind.TEXT and self.maybe():
            return ItemField(self.pick("sku", "category", "brand"), kind)
        if kind is Kind.TEXT:
            names += ["id", "type", "category"]
        if kind is Kind.TIME:
            names += ["occurred_at", "received_at"]
        return EventField(self.pick(*names), kind)

    def value(self, kind: Kind, depth: int) -> Expression:
        if kind is Kind.FLAG and depth and self.maybe():
            return self.condition(depth - 1)
        if kind is Kind.NUMBER and depth and self.maybe():
            symbol = self.pick(*Operator)
            left, right = self.value(kind, depth - 1), self.value(kind, depth - 1)
            return Arithmetic(symbol, left, right)
        if kind is Kind.NUMBER and self.scope is None and self.pick(0, 1, 2) > 0:
            return self.aggregate(self.pick(Fold.COUNT, Fold.SUM))
        return self.literal(kind) if self.pick(0, 1, 2) == 0 else self.field(kind)

    def aggregate(self, fold: Fold) -> Aggregate:
        scope = self.pick(*Scope)
        inner = replace(self, scope=scope)
        types = self.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=2))
        where = inner.condition(1) if self.maybe() else None
        last_ms = self.pick(None, *WINDOWS)
        operand = inner.value(Kind.NUMBER, 1) if fold is Fold.SUM else None
        return Aggregate(Rows(scope, tuple(types), where, last_ms), fold, operand)

    def condition(self, depth: int) -> Expression:  # noqa: C901, PLR0911, PLR0912
        shapes = ["compare", "order", "one_of", "test", "truth"]
        if self.scope is None:
            shapes += ["exists", "exists", "exists", "count", "count", "member"]
        if depth:
            shapes += ["not", "all", "any"]
        match self.pick(*shapes):
            case "compare":
                return self._compare(depth)
            case "order":
                kind = self.pick(Kind.NUMBER, Kind.TEXT, Kind.TIME)
                left, right = self.value(kind, depth), self.value(kind, depth)
                return Compare(self.pick(*_orders), left, right)
            case "one_of":
                kind = self.pick(*KINDS)
                options = tuple(self.literal(kind) for _ in range(self.pick(1, 2)))
                return OneOf(self.value(kind, depth), options)
            case "test":
                argument = self.pick(*TEXTS)
                return TestText(self.pick(*TextTest), self.value(Kind.TEXT, depth), argument)
            case "truth":
                return Truth(self.value(Kind.FLAG, depth))
            case "exists":
                return self.aggregate(Fold.EXISTS)
            case "count":
                limit = Literal(self.pick(0, 1, 2, 3) * MICRO, Kind.NUMBER)
                return Compare(self.pick(*Comparison), self.aggregate(Fold.COUNT), limit)
            case "member":
                if self.audiences:
                    return InAudience(self.pick(*self.audiences))
                return self.aggregate(Fold.EXISTS)
            case "not":
                return Not(self.condition(depth - 1))
            case "all":
                return All((self.condition(depth - 1), self.condition(depth - 1)))
            case _:
                return AnyOf((self.condition(depth - 1), self.condition(depth - 1)))

    def _compare(self, depth: int) -> Expression:
        kind = self.pick(*KINDS)
        other = self.pick(self.value(kind, depth), self.literal(kind), Literal(None, None))
        return Compare(self.pick(*_equalities), self.value(kind, depth), other)


@st.composite
def simple_rules(draw: st.DrawFn, audiences: tuple[str, ...] = (), depth: int = 2) -> Expression:
    return Draw(draw, None, audiences).condition(depth)


@st.composite
def tallies(draw: st.DrawFn) -> Expression:
    """Draw a rule that sees each single row come and go."""
    drawn = Draw(draw, None)
    aggregate = drawn.aggregate(drawn.pick(Fold.COUNT, Fold.SUM))
    rows = Rows(aggregate.rows.scope, TYPES, None, aggregate.rows.last_ms)
    limit = drawn.literal(Kind.NUMBER) if aggregate.operand else Literal(2 * MICRO, Kind.NUMBER)
    return Compare(drawn.pick(*Comparison), replace(aggregate, rows=rows), limit)


_properties = st.fixed_dictionaries(
    {},
    optional={
        **{name: VALUES[kind] for name, kind in NAMES.items()},
        "category": VALUES[Kind.TEXT],
        "brand": st.one_of(VALUES[Kind.TEXT], VALUES[Kind.NUMBER]),
        "price": st.one_of(VALUES[Kind.NUMBER], VALUES[Kind.TIME]),
    },
)
_items = st.builds(
    Item,
    sku=VALUES[Kind.TEXT],
    category=st.none() | VALUES[Kind.TEXT],
    brand=st.none() | VALUES[Kind.TEXT],
    price=st.none() | VALUES[Kind.NUMBER],
    quantity=VALUES[Kind.NUMBER],
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Draw an event; its `occurred_ms` is how late it is, and has to be made an instant."""
    return Event(
        event_id="",
        type=draw(st.sampled_from(TYPES)),
        occurred_ms=draw(st.sampled_from((0, 0, 0, 1, 3, 4, 5, 9, 10, 24, 25, 26))),
        received_ms=0,
        came_with=draw(st.sampled_from(("crm:1", "email:x"))),
        properties=draw(_properties),
        items=tuple(draw(st.lists(_items, max_size=2))),
    )


attribute_values = st.dictionaries(
    st.sampled_from(tuple(NAMES)),
    st.one_of(st.none(), *VALUES.values()),
    min_size=1,
    max_size=3,
)


def writable(node: Any) -> Any:
    """Return a rule as it can be written: windows of whole seconds, numbers within the limit."""
    if isinstance(node, tuple):
        return tuple(writable(part) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    values = {field.name: writable(getattr(node, field.name)) for field in fields(node)}
    if isinstance(node, Rows) and node.last_ms is not None:
        values["last_ms"] = node.last_ms * 1000
    if isinstance(node, Literal) and node.kind is Kind.NUMBER:
        most = from_float(NUMBER_LIMIT)
        values["value"] = min(values["value"], most)
    return type(node)(**values)
