"""A rule as what the engine runs: shared leaves, and programs over their values.

A leaf is a set of rows with, for `sum`, what is added up. Rules that speak of the same rows share
it, wherever they were written: offsets and the order of event types take no part in its key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from segcore._program import Op, Source
from segcore.kinds import check_rule, kind_of
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
    Operator,
    Rows,
    Scope,
    TestText,
    TextTest,
    TriggerField,
    Truth,
)
from segcore.rule_json import to_json, without_offsets

Constant = int | str | bool | None


@dataclass(frozen=True, slots=True)
class Input:
    """What a program reads: `name` is of a field, of an audience, or the key of a leaf."""

    source: Source
    name: str = ""
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """Postfix code; `depth` is the room that its stack takes."""

    code: tuple[tuple[Op, int, int], ...]
    constants: tuple[Constant, ...]
    inputs: tuple[Input, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """Rows that are counted and, with `operand`, added up, for each profile."""

    key: str
    scope: Scope
    types: tuple[str, ...]
    last_ms: int | None
    where: Program | None
    operand: Program | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole rule: its leaves, each once, and the program over them."""

    program: Program
    leaves: tuple[Leaf, ...]


def plan_rule(rule: Expression) -> Plan:
    """Return the plan of a rule; raises ValueError where a rule is not well formed."""
    check_rule(rule)
    leaves = {
        leaf.key: leaf
        for leaf in (_leaf(node) for node in nodes_of(rule) if isinstance(node, Aggregate))
    }
    return Plan(_compile(rule, condition=True), tuple(leaves.values()))


def leaf_key(aggregate: Aggregate) -> str:
    """Return the key under which aggregates share a leaf.

    `exists` and `count` of the same rows share one, whatever the order of their types.
    """
    rows = replace(aggregate.rows, types=tuple(sorted(set(aggregate.rows.types))))
    bare = Aggregate(rows, Fold.COUNT if aggregate.operand is None else Fold.SUM, aggregate.operand)
    return to_json(without_offsets(bare))


def _leaf(aggregate: Aggregate) -> Leaf:
    rows: Rows = aggregate.rows
    return Leaf(
        key=leaf_key(aggregate),
        scope=rows.scope,
        types=tuple(sorted(set(rows.types))),
        last_ms=rows.last_ms,
        where=None if rows.where is None else _compile(rows.where, condition=True),
        operand=None if aggregate.operand is None else _compile(aggregate.operand, condition=False),
    )


_ARITHMETIC = {
    Operator.ADD: Op.ADD,
    Operator.SUB: Op.SUBTRACT,
    Operator.MUL: Op.MULTIPLY,
    Operator.DIV: Op.DIVIDE,
}
_COMPARISONS = {
    Comparison.EQ: Op.EQUAL,
    Comparison.NE: Op.UNEQUAL,
    Comparison.LT: Op.LESS,
    Comparison.LE: Op.LESS_EQUAL,
    Comparison.GT: Op.GREATER,
    Comparison.GE: Op.GREATER_EQUAL,
}
_TEXT_ORDERS = {
    Comparison.LT: Op.TEXT_LESS,
    Comparison.LE: Op.TEXT_LESS_EQUAL,
    Comparison.GT: Op.TEXT_GREATER,
    Comparison.GE: Op.TEXT_GREATER_EQUAL,
}
_TESTS = {
    TextTest.STARTS_WITH: Op.STARTS_WITH,
    TextTest.ENDS_WITH: Op.ENDS_WITH,
    TextTest.CONTAINS: Op.CONTAINS,
}
_INTRINSIC = {
    "id": Source.EVENT_ID,
    "type": Source.EVENT_TYPE,
    "occurred_at": Source.OCCURRED,
    "received_at": Source.RECEIVED,
}
_ITEM = {
    "sku": Source.SKU,
    "category": Source.CATEGORY,
    "brand": Source.BRAND,
    "price": Source.PRICE,
    "quantity": Source.QUANTITY,
}
_FOLDS = {Fold.EXISTS: Source.EXISTS, Fold.COUNT: Source.COUNT, Fold.SUM: Source.SUM}


def _compile(expression: Expression, *, condition: bool) -> Program:
    writer = _Writer()
    writer.write(expression)
    if condition:
        writer.emit(Op.TRUTH, takes=1)
    return Program(
        tuple(writer.code), tuple(writer.constants), tuple(writer.inputs), writer.deepest
    )


@dataclass(slots=True)
class _Writer:
    """Writes the code of one expression, and keeps count of the stack."""

    code: list[tuple[Op, int, int]] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    inputs: dict[Input, int] = field(default_factory=dict)
    depth: int = 0
    deepest: int = 0

    def emit(self, op: Op, first: int = 0, second: int = 0, *, takes: int = 0) -> None:
        self.code.append((op, first, second))
        self.depth += 1 - takes
        self.deepest = max(self.deepest, self.depth)

    def load(self, source: Source, name: str = "", kind: Kind | None = None) -> None:
        index = self.inputs.setdefault(Input(source, name, kind), len(self.inputs))
        self.emit(Op.LOAD, index)

    def constant(self, value: Constant) -> int:
        self.constants.append(value)
        return len(self.constants) - 1

    def write(self, expression: Expression) -> None:  # noqa: C901, PLR0912
        """Write one node, its operands first."""
        match expression:
            case Literal():
                self.emit(Op.CONSTANT, self.constant(expression.value))
            case Attribute():
                self.load(Source.ATTRIBUTE, expression.name, expression.kind)
            case EventField():
                if expression.name in _INTRINSIC:
                    self.load(_INTRINSIC[expression.name])
                else:
                    self.load(Source.PROPERTY, expression.name, expression.kind)
            case ItemField():
                self.load(_ITEM[expression.name])
            case Arithmetic():
                self._all((expression.left, expression.right))
                self.emit(_ARITHMETIC[expression.operator], takes=2)
            case Compare():
                self._all((expression.left, expression.right))
                self.emit(_comparison(expression), takes=2)
            case OneOf():
                self._one_of(expression)
            case TestText():
                self.write(expression.operand)
                self.emit(_TESTS[expression.test], self.constant(expression.argument), takes=1)
            case Truth():
                self.write(expression.operand)
                self.emit(Op.TRUTH, takes=1)
            case Not():
                self.write(expression.operand)
                self.emit(Op.NEGATE, takes=1)
            case All():
                self._all(expression.operands)
                self.emit(Op.CONJOIN, len(expression.operands), takes=len(expression.operands))
            case AnyOf():
                self._all(expression.operands)
                self.emit(Op.DISJOIN, len(expression.operands), takes=len(expression.operands))
            case Aggregate():
                self.load(_FOLDS[expression.fold], leaf_key(expression))
            case InAudience():
                self.load(Source.MEMBER, expression.audience_id)
            case TriggerField() | KeyText() | CatalogField():
                raise ValueError(f"expected a rule of an audience, found {expression}")
            case _:
                assert_never(expression)

    def _all(self, operands: tuple[Expression, ...]) -> None:
        for operand in operands:
            self.write(operand)

    def _one_of(self, expression: OneOf) -> None:
        self.write(expression.operand)
        first = len(self.constants)
        for option in expression.options:
            self.constant(option.value)
        self.emit(Op.ONE_OF, first, len(expression.options), takes=1)


def _comparison(expression: Compare) -> Op:
    kinds = (kind_of(expression.left), kind_of(expression.right))
    if Kind.TEXT in kinds and expression.comparison in _TEXT_ORDERS:
        return _TEXT_ORDERS[expression.comparison]
    return _COMPARISONS[expression.comparison]
