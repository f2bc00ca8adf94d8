"""Comparisons and arithmetic of values that are already typed, and what of them is refused."""

from __future__ import annotations

from segcore.kinds import kind_of
from segcore.rule import (
    Age,
    Arithmetic,
    Compare,
    Comparison,
    Expression,
    Has,
    Kind,
    Literal,
    OneOf,
    Operator,
    Shift,
)
from services.kit.rules.errors import RuleError
from services.kit.rules.tree import Call, Listing, Node
from services.kit.rules.values import spoken
from services.kit.rules.view import View, mistake

_UNORDERED = {Kind.FLAG: "flags", Kind.TEXTS: "lists"}
_EQUALITY = frozenset((Comparison.EQ, Comparison.NE))
AGE_FORM = "age(profile.signup_at) >= days(10)"


def compare(node: Call, left: Expression, right: Expression, view: View) -> Compare:
    """Return the comparison of two values of one type."""
    comparison = Comparison(node.function.strip("_"))
    if complaint := _mistake_of(comparison, left, right):
        raise mistake(view, node, complaint)
    return Compare(comparison, left, right, node.place.point)


def _mistake_of(  # noqa: PLR0911 - one line a mistake
    comparison: Comparison, left: Expression, right: Expression
) -> str | None:
    kinds = kind_of(left), kind_of(right)
    ordered = comparison not in _EQUALITY
    if kinds == (None, None):
        return "null is compared with a value that may be missing, not with null"
    if None in kinds and ordered:
        return f"`{comparison}` orders values, and null has no place in an order"
    if None in kinds and Kind.SPAN in kinds:
        return "an age is missing where its time is: compare the time with null"
    if None not in kinds and kinds[0] is not kinds[1]:
        found = f"{spoken(kinds[0])} and {spoken(kinds[1])}"
        return f"`{comparison}` compares values of one type, found {found}"
    if ordered and (noun := _UNORDERED.get(kinds[0] or Kind.NUMBER)):
        return f"`{comparison}` orders numbers, texts, times and dates, found two {noun}"
    if Kind.SPAN in kinds:
        return _mistake_of_spans(left, right, ordered=ordered)
    return None


def _mistake_of_spans(left: Expression, right: Expression, *, ordered: bool) -> str | None:
    if not isinstance(left, Age) and not isinstance(right, Age):
        return f"two durations are always in the same order: compare an age, as in {AGE_FORM}"
    if not isinstance(left, Literal) and not isinstance(right, Literal):
        return f"an age is compared with a constant duration, as in {AGE_FORM}"
    if not ordered:
        return "an age is one duration for an instant alone: compare with `<`, `<=`, `>` or `>=`"
    return None


def one_of(node: Call, operand: Expression, options: list[Expression], view: View) -> OneOf:
    """Return whether a value is one of constants; the listing is the call's second argument."""
    listing = node.arguments[1]
    elements = listing.elements if isinstance(listing, Listing) else ()
    kind = kind_of(operand)
    if kind in {Kind.TEXTS, Kind.SPAN}:
        raise mistake(
            view, node.arguments[0], f"`in` takes one single value before it, found {spoken(kind)}"
        )
    found: list[Literal] = []
    for element, option in zip(elements, options, strict=True):
        if not isinstance(option, Literal):
            raise mistake(view, element, "`in` takes a list of constants; this is none")
        if option.kind is None:
            raise mistake(
                view, element, "null is in no list: a missing value is found with `== null`"
            )
        if option.kind is not kind:
            raise mistake(
                view,
                element,
                f"`in` compares values of one type, found {spoken(kind)} and {spoken(option.kind)}",
            )
        found.append(option)
    return OneOf(operand, tuple(found), node.place.point)


def has_element(node: Call, element: Expression, texts: Expression, view: View) -> Has:
    """Return whether a text is among those of a list that a profile or a row has."""
    if kind_of(texts) is not Kind.TEXTS:
        raise mistake(
            view,
            node.arguments[1],
            '`in` takes a list of constants such as ["gold", "silver"], or a list of texts such as'
            f" profile.tags; found {spoken(kind_of(texts))}",
        )
    if kind_of(element) is not Kind.TEXT:
        found = spoken(kind_of(element))
        raise mistake(
            view, node.arguments[0], f"`in` looks for a text in a list of texts, found {found}"
        )
    return Has(element, texts, node.place.point)


def calculate(node: Call, left: Expression, right: Expression, view: View) -> Expression:
    """Return arithmetic on two numbers, or a time moved by a constant duration."""
    operator = Operator(node.function.strip("_"))
    kinds = kind_of(left), kind_of(right)
    if kinds == (Kind.TIME, Kind.SPAN) and operator in {Operator.ADD, Operator.SUB}:
        length_ms = _constant_ms(right, node.arguments[1], view)
        sign = -1 if operator is Operator.SUB else 1
        return Shift(left, sign * length_ms, node.place.point)
    if kinds == (Kind.SPAN, Kind.TIME) and operator is Operator.ADD:
        return Shift(right, _constant_ms(left, node.arguments[0], view), node.place.point)
    if kinds == (Kind.TIME, Kind.TIME) and operator is Operator.SUB:
        raise mistake(
            view,
            node,
            "what lies between two times is no value: compare them, as in"
            " event.occurred_at > event.eta + days(3)",
        )
    for side, kind in zip(node.arguments, kinds, strict=True):
        if kind is not Kind.NUMBER:
            raise _no_number(view, side, kind)
    return Arithmetic(operator, left, right, node.place.point)


def _constant_ms(span: Expression, node: Node, view: View) -> int:
    if isinstance(span, Literal) and isinstance(span.value, int):
        return span.value
    raise mistake(view, node, "a time moves by a constant duration, as in trigger.eta + days(3)")


def _no_number(view: View, node: Node, kind: Kind | None) -> RuleError:
    return mistake(view, node, f"expected a number, found {spoken(kind)}")
