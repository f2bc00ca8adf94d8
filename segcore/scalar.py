"""What the forms of one, two or three values come to: arithmetic, comparisons, tests of texts."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import assert_never

from segcore.micro import bounded, divide_half_even
from segcore.rule import MICRO, Comparison, Operator, TextForm, TextTest

Value = int | str | bool | tuple[str, ...] | None
"""What an expression comes to; None is missing."""

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FORMS = {
    TextForm.LOWER: str.maketrans(_UPPER, _UPPER.lower()),
    TextForm.UPPER: str.maketrans(_UPPER.lower(), _UPPER),
}
_ORDERS: dict[Comparison, Callable[..., bool]] = {
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
}


def calculate(symbol: Operator, left: Value, right: Value) -> int | None:
    """Return two numbers in one; missing where one is, on division by 0, beyond 64 bits."""
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


def compare(comparison: Comparison, left: Value, right: Value) -> bool:
    """Return whether a comparison of two values of one kind holds; missing has no order."""
    if comparison is Comparison.EQ:
        return left == right
    if comparison is Comparison.NE:
        return left != right
    return left is not None and right is not None and _ORDERS[comparison](left, right)


def passes_test(test: TextTest, operand: Value, argument: str) -> bool:
    """Return whether a text passes a test; a missing one passes none."""
    if not isinstance(operand, str):
        return False
    match test:
        case TextTest.STARTS_WITH:
            return operand.startswith(argument)
        case TextTest.ENDS_WITH:
            return operand.endswith(argument)
        case TextTest.CONTAINS:
            return argument in operand
        case _:
            assert_never(test)


def form_text(form: TextForm, operand: Value) -> str | None:
    """Return another form of a text; missing for missing."""
    return operand.translate(_FORMS[form]) if isinstance(operand, str) else None


def size_of(operand: Value) -> int | None:
    """Return how many code points or texts there are, in millionths; missing for missing."""
    return len(operand) * MICRO if isinstance(operand, str | tuple) else None


def has_element(element: Value, operand: Value) -> bool:
    """Return whether a text is among texts; false where either is missing."""
    return element is not None and isinstance(operand, tuple) and element in operand


def shifted(operand: Value, span_ms: int) -> int | None:
    """Return the time a span later; missing for missing."""
    return bounded(operand + span_ms) if isinstance(operand, int) else None
