"""A checked rule as a small tree of frozen nodes, each with its place in the text.

Built from CEL's protobuf message, so that nothing behind this module knows its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kit.rules.tokens import Span, Words

INFIX = frozenset(
    (
        *("_&&_", "_||_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"),
        *("_+_", "_-_", "_*_", "_/_", "_%_"),
    )
)
PREFIX = frozenset(("!_", "-_"))


@dataclass(frozen=True, slots=True)
class Place:
    """From `start` to before `end`; `point` is the operator's or the called name's own offset."""

    start: int
    end: int
    point: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, a text, a flag or null, as written."""

    value: int | float | str | bool | None
    place: Place


@dataclass(frozen=True, slots=True)
class Path:
    """Names with dots between them, e.g. `profile.loyalty.tier`."""

    names: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Call:
    """A function, an operator as CEL names it, or a method, whose `target` is before its dot."""

    function: str
    target: Node | None
    arguments: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Member:
    """A name behind a dot on something that is no path, e.g. a method without its brackets."""

    owner: Node
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Listing:
    """`[a, b]`."""

    elements: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Foreign:
    """What CEL has and rules have not; `what` names it."""

    what: str
    place: Place


Node = Constant | Path | Call | Member | Listing | Foreign


class TreeBuilder:
    """Builds the tree of one rule."""

    def __init__(self, text: str, positions: Mapping[int, int]) -> None:
        self._words = Words(text)
        self._positions = positions
        self._spans: dict[int, Span] = {}

    def build(self, expr: Any) -> Node:  # noqa: PLR0911 - one arm a kind of node
        """Return the tree of CEL's expression."""
        match expr.WhichOneof("expr_kind"):
            case "const_expr":
                return self._constant(expr)
            case "ident_expr":
                at = self._word(expr)
                last = at + 1 if self._words.is_at(at, ".") else at
                return Path((expr.ident_expr.name,), self._place(expr, Span(at, last), at))
            case "select_expr":
                return self._select(expr)
            case "call_expr":
                return self._call(expr)
            case "list_expr":
                elements = tuple(self.build(e) for e in expr.list_expr.elements)
                return Listing(elements, self._bracketed(expr))
            case "struct_expr":
                return Foreign("`{...}`", self._bracketed(expr))
            case _:
                return Foreign("this", self._bracketed(expr))

    def _constant(self, expr: Any) -> Node:  # noqa: PLR0911 - one arm a kind of constant
        at = self._word(expr)
        last = at + 1 if self._words.is_at(at, "-") else at
        place = self._place(expr, Span(at, last), at)
        match expr.const_expr.WhichOneof("constant_kind"):
            case "null_value":
                return Constant(None, place)
            case "int64_value":
                return Constant(int(expr.const_expr.int64_value), place)
            case "double_value":
                return Constant(float(expr.const_expr.double_value), place)
            case "string_value":
                return Constant(str(expr.const_expr.string_value), place)
            case "bool_value":
                return Constant(bool(expr.const_expr.bool_value), place)
            case "uint64_value":
                return Foreign("a number that ends in `u`", place)
            case _:
                return Foreign("a text that begins with `b`", place)

    def _select(self, expr: Any) -> Node:
        select = expr.select_expr
        owner = self.build(select.operand)
        at = self._word(expr)
        if select.test_only:
            return self._presence(expr, owner)
        span = Span(self._outer(select.operand).first, at + 1)
        return _behind_dot(owner, select.field, self._place(expr, span, at + 1))

    def _presence(self, expr: Any, owner: Node) -> Node:
        # CEL makes `has(a.b)` a selection at the bracket; here it is the call that was written.
        at = self._word(expr)
        closing = last = self._words.closing(at)
        while self._words.is_at(last, ")"):
            last -= 1
        inside = self._place(expr, Span(self._outer(expr.select_expr.operand).first, last), last)
        field = _behind_dot(owner, expr.select_expr.field, inside)
        return Call("has", None, (field,), self._place(expr, Span(at - 1, closing), at - 1))

    def _call(self, expr: Any) -> Node:
        call = expr.call_expr
        target = self.build(call.target) if call.HasField("target") else None
        arguments = tuple(self.build(argument) for argument in call.args)
        at = self._word(expr)
        if call.function in INFIX or call.function in PREFIX or call.function == "_?_:_":
            first = at if call.function in PREFIX else self._outer(call.args[0]).first
            span, point = Span(first, self._outer(call.args[-1]).last), at
        elif call.function == "_[_]":
            span, point = Span(self._outer(call.args[0]).first, self._words.closing(at)), at
        else:
            first = self._outer(call.target).first if target is not None else at - 1
            span, point = Span(first, self._words.closing(at)), at - 1
        return Call(call.function, target, arguments, self._place(expr, span, point))

    def _bracketed(self, expr: Any) -> Place:
        at = self._word(expr)
        return self._place(expr, Span(at, self._words.closing(at)), at)

    def _word(self, expr: Any) -> int:
        return self._words.index(self._positions.get(expr.id, 0))

    def _outer(self, expr: Any) -> Span:
        return self._words.with_brackets(self._spans[expr.id])

    def _place(self, expr: Any, span: Span, point: int) -> Place:
        self._spans[expr.id] = span
        words = self._words
        return Place(words.start(span.first), words.end(span.last), words.start(point))


def _behind_dot(owner: Node, name: str, place: Place) -> Node:
    if isinstance(owner, Path):
        return Path((*owner.names, name), place)
    return Member(owner, name, place)


def children(node: Node) -> Sequence[Node]:
    """Return the nodes directly under `node`, in the order of the text."""
    match node:
        case Call(target=target, arguments=arguments):
            return arguments if target is None else (target, *arguments)
        case Member(owner=owner):
            return (owner,)
        case Listing(elements=elements):
            return elements
        case _:
            return ()


def count(node: Node) -> int:
    """Return how many nodes there are from `node` down."""
    return 1 + sum(count(child) for child in children(node))
