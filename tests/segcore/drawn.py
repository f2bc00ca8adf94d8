"""Rules of the whole grammar and histories drawn at random, from small pools so that values meet.

Instants lie near the epoch, which is an edge of a day in UTC. With `local_days` rules speak of
local days too: they are seen best at instants of `drawn_values.day_instants`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from drawn_simple import simple_rules
from drawn_values import (
    LITERALS,
    NAMES,
    NUMBERS,
    SPANS,
    TEXTS,
    TIMES,
    TYPES,
    VALUES,
    WINDOWS,
    zones,
)
from hypothesis import strategies as st

from segcore.history import Event, Item
from segcore.micro import from_float
from segcore.rule import (
    MICRO,
    NUMBER_LIMIT,
    Age,
    Aggregate,
    All,
    Anniversary,
    AnyOf,
    Arithmetic,
    Attribute,
    Bucket,
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
    TextForm,
    TextTest,
    Truth,
)

__all__ = [
    "NAMES",
    "NUMBERS",
    "TEXTS",
    "TIMES",
    "TYPES",
    "VALUES",
    "WINDOWS",
    "Draw",
    "attribute_values",
    "events",
    "rules",
    "simple_rules",
    "tallies",
    "writable",
]

_ORDERS = (Comparison.LT, Comparison.LE, Comparison.GT, Comparison.GE)
_EQUALITIES = (Comparison.EQ, Comparison.NE)
_KINDS = tuple(NAMES[name] for name in ("n", "t", "f", "w", "d", "l"))
_SINGLE = tuple(kind for kind in _KINDS if kind is not Kind.TEXTS)
_FOLDS = {
    Kind.NUMBER: (
        *((Fold.COUNT, Fold.SUM) * 2),
        *(Fold.AVG, Fold.MIN, Fold.MAX, Fold.DISTINCT, Fold.LATEST, Fold.EARLIEST),
    ),
    Kind.TIME: (Fold.LATEST,) * 3 + (Fold.EARLIEST,) * 3 + (Fold.MIN, Fold.MAX),
    **dict.fromkeys((Kind.TEXT, Kind.FLAG, Kind.DATE, Kind.TEXTS), (Fold.LATEST, Fold.EARLIEST)),
}
"""The folds that come to a value of each kind."""

_OF_ANY_KIND = (Fold.MIN, Fold.MAX, Fold.LATEST, Fold.EARLIEST)
"""Folds that come to a value of the kind of what they fold."""

_FILTERS = (("last",), ("older",), (), ("last", "older"), ("last",))
"""Windows and ages of rows; both together keep few."""

_SCALAR_SHAPES = ("compare", "order", "one_of", "test", "truth", "has")
_PERSON_SHAPES = (
    *(("count", "exists", "follow", "fold", "age") * 3),
    *("exists", "count", "member", "bucket"),
)


@dataclass(frozen=True)
class Draw:
    """Draws expressions; `scope` is that of the rows around them, None at the level of a person."""

    draw: st.DrawFn
    scope: Scope | None
    audiences: tuple[str, ...] = ()
    local_days: bool = False

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def maybe(self) -> bool:
        return self.draw(st.booleans())

    def literal(self, kind: Kind) -> Literal:
        return Literal(self.draw(LITERALS[kind]), kind, self.draw(st.integers(-1, 3)))

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
        if depth and self.maybe():
            return self._composed(kind, depth)
        if self.scope is None and self.pick(0, 1, 2) == 0:
            return self.aggregate(self.pick(*_FOLDS[kind]), kind)
        return self.literal(kind) if self.pick(0, 1, 2) == 0 else self.field(kind)

    def _composed(self, kind: Kind, depth: int) -> Expression:
        match kind:
            case Kind.NUMBER if self.pick(0, 1, 2) == 0:
                return Size(self.value(self.pick(Kind.TEXT, Kind.TEXTS), depth - 1))
            case Kind.NUMBER:
                left, right = self.value(kind, depth - 1), self.value(kind, depth - 1)
                return Arithmetic(self.pick(*Operator), left, right)
            case Kind.TEXT:
                return FormText(self.pick(*TextForm), self.value(kind, depth - 1))
            case Kind.FLAG:
                return self.condition(depth - 1)
            case Kind.TIME:
                return Shift(self.value(kind, depth - 1), self.pick(*SPANS))
            case _:
                return self.field(kind)

    def aggregate(self, fold: Fold, kind: Kind = Kind.NUMBER, depth: int = 1) -> Aggregate:
        """Draw an aggregate that comes to a value of `kind`."""
        rows = self.rows(depth)
        inner = replace(self, scope=rows.scope)
        if fold in (Fold.EXISTS, Fold.COUNT):
            return Aggregate(rows, fold)
        if fold in (Fold.LATEST, Fold.EARLIEST) and kind is Kind.TIME and self.maybe():
            return Aggregate(rows, fold)
        of = self.pick(*_KINDS) if fold is Fold.DISTINCT else kind
        return Aggregate(rows, fold, inner.value(of, self.pick(0, 1)))

    def rows(self, depth: int) -> Rows:
        """Draw rows with any filters; `depth` is how deep follows and times of rows may nest."""
        scope = self.pick(*Scope)
        types = self.pick(TYPES, TYPES[:1], TYPES[1:2], TYPES[:2], TYPES[1:])
        where = replace(self, scope=scope).condition(1) if self.pick(*range(5)) == 4 else None
        days = self.local_days and self.maybe()
        filters = self.pick(*_FILTERS)
        rows = Rows(
            scope,
            types,
            where,
            last_ms=self.pick(25, 10, 4, 3, 1) if "last" in filters else None,
            older_ms=self.pick(3, 1, 4, 10, 25) if "older" in filters else None,
            calendar_days=self.pick(1, 2, 3) if days else None,
        )
        if not depth:
            return rows
        froms = (self.bound(depth - 1),) if self.pick(*range(7)) == 6 else ()
        untils = (self.bound(depth - 1),) if self.pick(*range(9)) == 8 else ()
        rows = replace(rows, from_times=froms, until_times=untils)
        return self.follow(rows, depth - 1) if self.pick(*range(6)) == 5 else rows

    def follow(self, rows: Rows, depth: int) -> Rows:
        """Add one or two tests of the rows after each."""
        keyed = self.maybe()
        follows = []
        for _ in range(self.pick(1, 1, 1, 2)):
            then = self.rows(depth)
            if keyed != (then.key is not None):
                then = replace(then, key=self._key(then.scope) if keyed else None, follows=())
            follows.append(Follow(then, self.pick(None, *WINDOWS), self.maybe()))
        key = self._key(rows.scope) if keyed else None
        return replace(rows, key=key, follows=tuple(follows))

    def _key(self, scope: Scope) -> Expression:
        if scope is Scope.ITEM and self.maybe():
            return ItemField("sku", Kind.TEXT)
        return replace(self, scope=scope).value(Kind.TEXT, self.pick(0, 0, 1))

    def bound(self, depth: int) -> Expression:
        """Draw a time from which or until which rows count."""
        match self.pick("literal", "attribute", "rows", "rows", "shift"):
            case "literal":
                return self.literal(Kind.TIME)
            case "attribute":
                return self.field(Kind.TIME)
            case "shift":
                return Shift(self.bound(depth), self.pick(*SPANS))
            case _:
                return self._end(depth)

    def _end(self, depth: int) -> Aggregate:
        rows = self.rows(depth)
        inner = replace(self, scope=rows.scope)
        operand = inner.field(Kind.TIME) if self.pick(0, 1, 2) == 0 else None
        return Aggregate(rows, self.pick(Fold.LATEST, Fold.EARLIEST), operand)

    def condition(self, depth: int) -> Expression:  # noqa: C901, PLR0911, PLR0912
        shapes = _SCALAR_SHAPES
        if self.scope is None:
            shapes = _PERSON_SHAPES + ("anniversary",) * (3 if self.local_days else 1) + shapes
        if depth:
            shapes += ("not", "all", "any")
        match self.pick(*shapes):
            case "truth":
                return Truth(self.value(Kind.FLAG, depth))
            case "exists":
                return self.aggregate(Fold.EXISTS)
            case "follow":
                return self._following()
            case "count":
                limit = Literal(self.pick(0, 1, 2, 3) * MICRO, Kind.NUMBER)
                return Compare(self.pick(*Comparison), self.aggregate(Fold.COUNT), limit)
            case "age":
                return self._age(depth)
            case "anniversary":
                return Anniversary(self.value(self.pick(Kind.DATE, Kind.DATE, Kind.TIME), depth))
            case "bucket":
                share = Literal(self.pick(100_000, 500_000, 900_000), Kind.NUMBER)
                return Compare(self.pick(*_ORDERS), Bucket(self.pick("a", "b")), share)
            case "not":
                return Not(self.condition(depth - 1))
            case "all":
                return All((self.condition(depth - 1), self.condition(depth - 1)))
            case "any":
                return AnyOf((self.condition(depth - 1), self.condition(depth - 1)))
            case shape:
                return self._test(shape, depth)

    def _test(self, shape: str, depth: int) -> Expression:  # noqa: PLR0911
        match shape:
            case "compare":
                return self._compare(depth)
            case "order":
                kind = self.pick(Kind.NUMBER, Kind.TEXT, Kind.TIME, Kind.DATE)
                left, right = self.value(kind, depth), self.value(kind, depth)
                return Compare(self.pick(*_ORDERS), left, right)
            case "one_of":
                kind = self.pick(*_SINGLE)
                options = tuple(self.literal(kind) for _ in range(self.pick(1, 2)))
                return OneOf(self.value(kind, depth), options)
            case "test":
                argument = self.pick(*TEXTS)
                return TestText(self.pick(*TextTest), self.value(Kind.TEXT, depth), argument)
            case "has":
                return Has(self.value(Kind.TEXT, depth), self.value(Kind.TEXTS, depth))
            case "fold":
                return self._fold()
            case _:
                return (
                    InAudience(self.pick(*self.audiences)) if self.audiences else self._following()
                )

    def _fold(self) -> Expression:
        """Draw what is compared with the value of some rows."""
        fold = self.pick(*(each for each in Fold if each is not Fold.EXISTS))
        kinds = (Kind.TIME,) if fold in (Fold.MIN, Fold.MAX) else _SINGLE
        kind = self.pick(Kind.NUMBER, *kinds) if fold in _OF_ANY_KIND else Kind.NUMBER
        comparisons = _EQUALITIES if kind is Kind.FLAG else tuple(Comparison)
        return Compare(self.pick(*comparisons), self.aggregate(fold, kind), self.literal(kind))

    def _following(self) -> Expression:
        """Draw whether rows exist that others follow, or do not."""
        rows = self.follow(self.rows(0), self.pick(0, 0, 1))
        return Aggregate(rows, Fold.EXISTS)

    def _age(self, depth: int) -> Expression:
        age, span = Age(self.value(Kind.TIME, depth)), self.literal(Kind.SPAN)
        left, right = (age, span) if self.maybe() else (span, age)
        return Compare(self.pick(*Comparison), left, right)

    def _compare(self, depth: int) -> Expression:
        kind = self.pick(*_KINDS)
        other = self.pick(self.value(kind, depth), self.literal(kind), Literal(None, None))
        return Compare(self.pick(*_EQUALITIES), self.value(kind, depth), other)


@st.composite
def rules(
    draw: st.DrawFn, audiences: tuple[str, ...] = (), depth: int = 2, *, local_days: bool = False
) -> Expression:
    return Draw(draw, None, audiences, local_days).condition(depth)


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


def _attribute(name: str) -> st.SearchStrategy[tuple[str, Any]]:
    own = zones if name == "zone" else VALUES[NAMES[name]]
    # A value of another kind than declared comes too, now and then.
    return st.tuples(st.just(name), st.one_of(own, own, own, st.none(), *VALUES.values()))


attribute_values = st.lists(
    st.sampled_from(tuple(NAMES)).flatmap(_attribute), min_size=1, max_size=3
).map(dict)

_ORDER_OF = {Comparison.EQ: Comparison.GE, Comparison.NE: Comparison.LT}
_SPANS = ("last_ms", "older_ms", "within_ms", "span_ms")


def writable(node: Any) -> Any:
    """Return a rule as it can be written: in whole seconds, within limits, ages in order alone."""
    if isinstance(node, tuple):
        return tuple(writable(part) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    values = {field.name: writable(getattr(node, field.name)) for field in fields(node)}
    for name in _SPANS:
        if values.get(name) is not None:
            values[name] *= 1000
    if isinstance(node, Compare) and Age in (type(node.left), type(node.right)):
        values["comparison"] = _ORDER_OF.get(node.comparison, node.comparison)
    if isinstance(node, Literal) and node.kind is Kind.SPAN:
        values["value"] = node.value * 1000
    if isinstance(node, Literal) and node.kind is Kind.NUMBER:
        values["value"] = min(values["value"], from_float(NUMBER_LIMIT))
    return type(node)(**values)
