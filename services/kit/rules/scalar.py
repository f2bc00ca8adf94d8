"""Operators, comparisons and constants: what means the same over a profile and over a row.

A `View` says what the rest means: names with dots, and calls.
"""

from __future__ import annotations

from collections.abc import Callable

from segcore.kinds import kind_of
from segcore.rule import (
    All,
    AnyOf,
    Arithmetic,
    Compare,
    Comparison,
    Expression,
    Kind,
    Literal,
    Not,
    Operator,
    Truth,
)
from services.kit.rules import comparing, literals, texting
from services.kit.rules.spans import negated, span_of
from services.kit.rules.tree import Call, Constant, Foreign, Listing, Member, Node, Path
from services.kit.rules.values import is_field, may_be_missing, spoken
from services.kit.rules.view import View, mistake
from services.kit.rules.words import TEXT_FORMS, TEXT_TESTS

HAS_TAKES = "`has` takes one attribute or property, such as has(profile.city)"
_LISTS = "a list stands only behind `in`, or beside `==` and a list of texts"


def condition(node: Node, view: View) -> Expression:
    """Return what is true or false and never missing; a flag becomes `Truth`."""
    found = expression(node, view)
    kind = kind_of(found)
    if kind is not Kind.FLAG:
        raise mistake(view, node, f"expected a condition, found {spoken(kind)}")
    if may_be_missing(found) or isinstance(found, Literal):
        return Truth(found, at=found.at)
    return found


def number(node: Node, view: View) -> Expression:
    """Return a number."""
    found = expression(node, view)
    if kind_of(found) is not Kind.NUMBER:
        raise mistake(view, node, f"expected a number, found {spoken(kind_of(found))}")
    return found


def expression(node: Node, view: View) -> Expression:
    """Return the typed rule of one node; raises RuleError for what rules do not have."""
    match node:
        case Constant():
            return literal(node, view)
        case Path():
            return view.path(node)
        case Call():
            return _operator(node, view)
        case Listing():
            raise mistake(view, node, _LISTS)
        case Member():
            return view.member(node)
        case Foreign(what=what):
            raise mistake(view, node, f"{what} is not part of the rule language")


def literal(node: Constant, view: View) -> Literal:
    """Return a constant as segcore counts it."""
    value, at = node.value, node.place.start
    match value:
        case None:
            return Literal(None, None, at)
        case bool():
            return Literal(value, Kind.FLAG, at)
        case str():
            return Literal(value, Kind.TEXT, at)
    try:
        return Literal(literals.micro(value), Kind.NUMBER, at)
    except ValueError as error:
        raise mistake(view, node, str(error)) from None


def _operator(node: Call, view: View) -> Expression:
    if form := _FORMS.get(node.function):
        return form(node, view)
    if reason := _REFUSED.get(node.function):
        raise mistake(view, node, reason)
    if (span := span_of(node, view)) is not None:
        return span
    if node.target is not None and node.function in TEXT_TESTS:
        return texting.text_test(node, node.target, expression(node.target, view), view)
    if node.target is not None and node.function in TEXT_FORMS:
        return texting.text_form(node, node.target, expression(node.target, view), view)
    return view.call(node)


def _all(node: Call, view: View) -> Expression:
    return All(_flattened(node, node.function, view), node.place.point)


def _any(node: Call, view: View) -> Expression:
    return AnyOf(_flattened(node, node.function, view), node.place.point)


def _not(node: Call, view: View) -> Expression:
    return Not(condition(node.arguments[0], view), node.place.point)


def _negative(node: Call, view: View) -> Expression:
    found = expression(node.arguments[0], view)
    if isinstance(found, Literal) and found.kind is Kind.SPAN:
        return negated(found, node)
    if kind_of(found) is not Kind.NUMBER:
        complaint = f"expected a number, found {spoken(kind_of(found))}"
        raise mistake(view, node.arguments[0], complaint)
    return Arithmetic(Operator.SUB, Literal(0, Kind.NUMBER), found, node.place.point)


def _arithmetic(node: Call, view: View) -> Expression:
    left, right = (expression(argument, view) for argument in node.arguments)
    return comparing.calculate(node, left, right, view)


def _flattened(node: Call, name: str, view: View) -> tuple[Expression, ...]:
    found: list[Expression] = []
    for argument in node.arguments:
        if isinstance(argument, Call) and argument.function == name:
            found.extend(_flattened(argument, name, view))
        else:
            found.append(condition(argument, view))
    return tuple(found)


def _compare(node: Call, view: View) -> Expression:
    # A list of constants is one value here, and only here.
    sides = [
        _texts(argument, view) if isinstance(argument, Listing) else expression(argument, view)
        for argument in node.arguments
    ]
    return comparing.compare(node, sides[0], sides[1], view)


def _texts(node: Listing, view: View) -> Literal:
    found: list[str] = []
    for element in node.elements:
        if not isinstance(element, Constant) or not isinstance(element.value, str):
            raise mistake(view, element, "a list of texts holds constant texts; this is none")
        if "\x1f" in element.value:
            raise mistake(view, element, "no text of a list has the character U+001F in it")
        found.append(element.value)
    return Literal(tuple(found), Kind.TEXTS, node.place.start)


def _one_of(node: Call, view: View) -> Expression:
    operand, listed = expression(node.arguments[0], view), node.arguments[1]
    if not isinstance(listed, Listing):
        return comparing.has_element(node, operand, expression(listed, view), view)
    if not listed.elements:
        raise mistake(view, listed, '`in` takes a list of constants such as ["gold", "silver"]')
    options = [expression(element, view) for element in listed.elements]
    return comparing.one_of(node, operand, options, view)


def _size(node: Call, view: View) -> Expression:
    counted = (*node.arguments, *(() if node.target is None else (node.target,)))
    if len(counted) != 1:
        raise mistake(view, node, "`size` takes one text or list, such as size(profile.tags)")
    return texting.size(node, counted[0], expression(counted[0], view), view)


def _has(node: Call, view: View) -> Expression:
    if node.target is None and len(node.arguments) == 1:
        operand = expression(node.arguments[0], view)
        if is_field(operand):
            return Compare(Comparison.NE, operand, Literal(None, None), node.place.start)
    raise mistake(view, node, HAS_TAKES)


def _timestamp(node: Call, view: View) -> Expression:
    return _constant(node, view, Kind.TIME, literals.timestamp_ms, "2026-03-01T09:30:00Z")


def _date(node: Call, view: View) -> Expression:
    return _constant(node, view, Kind.DATE, literals.date_days, "2026-03-01")


def _constant(
    node: Call, view: View, kind: Kind, parse: Callable[[str], int], example: str
) -> Expression:
    name = node.function
    match node.arguments:
        case (Constant(value=str(written)),) if node.target is None:
            try:
                return Literal(parse(written), kind, node.place.start)
            except ValueError as error:
                raise mistake(view, node.arguments[0], str(error)) from None
    raise mistake(view, node, f'`{name}` takes one constant text: {name}("{example}")')


_FORMS: dict[str, Callable[[Call, View], Expression]] = {
    "_&&_": _all,
    "_||_": _any,
    "!_": _not,
    "-_": _negative,
    "@in": _one_of,
    "has": _has,
    "size": _size,
    "timestamp": _timestamp,
    "date": _date,
    **{f"_{comparison}_": _compare for comparison in Comparison},
    **{f"_{operator}_": _arithmetic for operator in Operator},
}
_REFUSED = {
    "_?_:_": "`? :` is not supported: say it with `&&`, `||` and `!`, which can be explained",
    "_[_]": "`[...]` behind a value is not supported: write names with dots",
    "_%_": "`%` is not supported: numbers are decimals here",
}
