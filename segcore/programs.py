"""Expressions as postfix code for the stack machine of `_program`.

What an expression reads are its inputs, by name; whoever runs the code says where they lie. Some
nodes are no code but an input of their own (an aggregate, a membership, an age): `Reader` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from segcore._program import Op, Source
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
    Shift,
    Size,
    TestText,
    TextForm,
    TextTest,
    TriggerField,
    Truth,
)

Constant = int | str | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Input:
    """What a program reads.

    `name` is of a field, an attribute or an audience, or the key of a leaf; `index` counts what the
    plan that the program belongs to lists itself.
    """

    source: Source
    name: str = ""
    kind: Kind | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """Postfix code; `depth` is the room that its stack takes."""

    code: tuple[tuple[Op, int, int], ...]
    constants: tuple[Constant, ...]
    inputs: tuple[Input, ...]
    depth: int


Reader = Callable[[Expression], Input | None]
"""Returns the input that a node is by itself, None where it is code over its operands."""


def no_reader(_: Expression) -> None:
    """Take every node as code: for programs over rows."""


def compile_condition(condition: Expression, read: Reader = no_reader) -> Program:
    """Return the code of a condition: it comes to 0 or 1, never to missing.

    Raises ValueError for a node that is neither code nor known to `read`.
    """
    writer = _Writer(read)
    writer.write(condition)
    writer.emit(Op.TRUTH, takes=1)
    return writer.program()


def compile_value(expression: Expression, read: Reader = no_reader) -> Program:
    """Return the code of an expression of any kind; raises ValueError as `compile_condition`."""
    writer = _Writer(read)
    writer.write(expression)
    return writer.program()


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
_FORMS = {TextForm.LOWER: Op.LOWER, TextForm.UPPER: Op.UPPER}
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
_OF_ONE_ROW = (Fold.LATEST, Fold.EARLIEST)


@dataclass(slots=True)
class _Writer:
    """Writes the code of one expression, and keeps count of the stack."""

    read: Reader
    code: list[tuple[Op, int, int]] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    inputs: dict[Input, int] = field(default_factory=dict)
    depth: int = 0
    deepest: int = 0

    def program(self) -> Program:
        return Program(tuple(self.code), tuple(self.constants), tuple(self.inputs), self.deepest)

    def emit(self, op: Op, first: int = 0, second: int = 0, *, takes: int = 0) -> None:
        self.code.append((op, first, second))
        self.depth += 1 - takes
        self.deepest = max(self.deepest, self.depth)

    def load(self, wanted: Input) -> None:
        self.emit(Op.LOAD, self.inputs.setdefault(wanted, len(self.inputs)))

    def constant(self, value: Constant) -> int:
        self.constants.append(value)
        return len(self.constants) - 1

    def write(self, expression: Expression) -> None:
        """Write one node, its operands first."""
        wanted = self.read(expression)
        if wanted is None:
            self._write(expression)
        else:
            self.load(wanted)

    def _write(self, expression: Expression) -> None:  # noqa: C901, PLR0912
        match expression:
            case Literal():
                self.emit(Op.CONSTANT, self.constant(expression.value))
            case Attribute():
                self.load(Input(Source.ATTRIBUTE, expression.name, expression.kind))
            case EventField():
                self._event_field(expression)
            case ItemField():
                self.load(Input(_ITEM[expression.name]))
            case Arithmetic():
                self._operation(_ARITHMETIC[expression.operator], expression.left, expression.right)
            case Compare():
                self._operation(_comparison(expression), expression.left, expression.right)
            case Has():
                self._operation(Op.HAS, expression.element, expression.operand)
            case OneOf():
                self._one_of(expression)
            case TestText():
                argument = self.constant(expression.argument)
                self._operation(_TESTS[expression.test], expression.operand, first=argument)
            case FormText():
                self._operation(_FORMS[expression.form], expression.operand)
            case Size():
                op = Op.COUNT_TEXTS if _gives(expression.operand, Kind.TEXTS) else Op.COUNT_POINTS
                self._operation(op, expression.operand)
            case Shift():
                span = self.constant(expression.span_ms)
                self._operation(Op.SHIFT, expression.operand, first=span)
            case Truth():
                self._operation(Op.TRUTH, expression.operand)
            case Not():
                self._operation(Op.NEGATE, expression.operand)
            case All():
                count = len(expression.operands)
                self._operation(Op.CONJOIN, *expression.operands, first=count)
            case AnyOf():
                count = len(expression.operands)
                self._operation(Op.DISJOIN, *expression.operands, first=count)
            case Aggregate() | InAudience() | Age() | Anniversary() | Bucket():
                raise ValueError(f"expected code or an input, found {expression}")
            case TriggerField() | KeyText() | CatalogField():
                raise ValueError(f"expected a rule of an audience, found {expression}")
            case _:
                assert_never(expression)

    def _operation(self, op: Op, *operands: Expression, first: int = 0) -> None:
        for operand in operands:
            self.write(operand)
        self.emit(op, first, takes=len(operands))

    def _event_field(self, wanted: EventField) -> None:
        source = _INTRINSIC.get(wanted.name)
        if source is None:
            self.load(Input(Source.PROPERTY, wanted.name, wanted.kind))
        else:
            self.load(Input(source))

    def _one_of(self, expression: OneOf) -> None:
        self.write(expression.operand)
        first = len(self.constants)
        for option in expression.options:
            self.constant(option.value)
        self.emit(Op.ONE_OF, first, len(expression.options), takes=1)


def _comparison(expression: Compare) -> Op:
    if expression.comparison in _TEXT_ORDERS and (
        _gives(expression.left, Kind.TEXT) or _gives(expression.right, Kind.TEXT)
    ):
        return _TEXT_ORDERS[expression.comparison]
    return _COMPARISONS[expression.comparison]


def _gives(expression: Expression, kind: Kind) -> bool:
    """Tell whether a well-formed expression comes to a text, or to texts."""
    if isinstance(expression, FormText | KeyText):
        return kind is Kind.TEXT
    if isinstance(expression, Aggregate):
        operand = expression.operand if expression.fold in _OF_ONE_ROW else None
        return operand is not None and _gives(operand, kind)
    return getattr(expression, "kind", None) is kind
