"""Operators, comparisons and constants: what means the same over a profile and over a row.

A `View` says what the rest means: names with dots, and calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

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
    OneOf,
    Operator,
    TestText,
    TextTest,
    Truth,
)
from services.kit.rules import literals
from services.kit.rules.errors import RuleError
from services.kit.rules.tree import Call, Constant, Foreign, Listing, Member, Node, Path
from services.kit.rules.values import is_field, spoken
from services.kit.rules.words import TEXT_TESTS

if TYPE_CHECKING:
    from services.kit.rules.situation import Situation

HAS_TAKES = "`has` takes one attribute or property, such as has(profile.city)"


class View(Protocol):
    """What names and calls mean in one part of a rule."""

    @property
    def text(self) -> str:
        """The whole rule, for errors."""

    @property
    def situation(self) -> Situation | None:
        """What there is beside the person; None where a rule speaks of people alone."""

    def path(self, node: Path) -> Expression:
        """Return the field that a name with dots stands for; raises RuleError."""

    def call(self, node: Call) -> Expression:
        """Return what a call comes to that is no operator; raises RuleError."""

    def member(self, node: Member) -> Expression:
        """Return what a name behind a call stands for; raises RuleError."""


def mistake(view: View, node: Node, complaint: str) -> RuleError:
    """Return the error for one node."""
    return RuleError(view.text, node.place.start, complaint, node.place.end)


def condition(node: Node, view: View) -> Expression:
    """Return what is true or false and never missing; a flag becomes `Truth`."""
    found = expression(node, view)
    kind = kind_of(found)
    if kind is not Kind.FLAG:
        raise mistake(view, node, f"expected a condition, found {spoken(kind)}")
    if is_field(found) or isinstance(found, Literal):
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
            raise mistake(view, node, "a list stands only behind `in`")
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
    if node.function in TEXT_TESTS and node.target is not None:
        return _test_text(node, node.target, view)
    return view.call(node)


def _all(node: Call, view: View) -> Expression:
    return All(_flattened(node, node.function, view), node.place.point)


def _any(node: Call, view: View) -> Expression:
    return AnyOf(_flattened(node, node.function, view), node.place.point)


def _not(node: Call, view: View) -> Expression:
    return Not(condition(node.arguments[0], view), node.place.point)


def _negative(node: Call, view: View) -> Expression:
    operand = number(node.arguments[0], view)
    return Arithmetic(Operator.SUB, Literal(0, Kind.NUMBER), operand, node.place.point)


def _arithmetic(node: Call, view: View) -> Expression:
    left, right = (number(argument, view) for argument in node.arguments)
    return Arithmetic(Operator(node.function.strip("_")), left, right, node.place.point)


def _flattened(node: Call, name: str, view: View) -> tuple[Expression, ...]:
    found: list[Expression] = []
    for argument in node.arguments:
        if isinstance(argument, Call) and argument.function == name:
            found.extend(_flattened(argument, name, view))
        else:
            found.append(condition(argument, view))
    return tuple(found)


def _compare(node: Call, view: View) -> Expression:
    comparison = Comparison(node.function.strip("_"))
    left, right = (expression(argument, view) for argument in node.arguments)
    kinds = kind_of(left), kind_of(right)
    ordered = comparison not in {Comparison.EQ, Comparison.NE}
    if kinds == (None, None):
        raise mistake(
            view, node, "null is compared with a value that may be missing, not with null"
        )
    if None in kinds and ordered:
        raise mistake(
            view, node, f"`{comparison}` orders values, and null has no place in an order"
        )
    if None not in kinds and kinds[0] is not kinds[1]:
        raise mistake(
            view,
            node,
            f"`{comparison}` compares values of one type, found {spoken(kinds[0])} and"
            f" {spoken(kinds[1])}",
        )
    if ordered and kinds[0] is Kind.FLAG:
        raise mistake(
            view, node, f"`{comparison}` orders numbers, texts and times, found two flags"
        )
    return Compare(comparison, left, right, node.place.point)


def _one_of(node: Call, view: View) -> Expression:
    operand, options = expression(node.arguments[0], view), node.arguments[1]
    if not isinstance(options, Listing) or not options.elements:
        raise mistake(view, options, '`in` takes a list of constants such as ["gold", "silver"]')
    kind = kind_of(operand)
    found: list[Literal] = []
    for element in options.elements:
        option = expression(element, view)
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


def _test_text(node: Call, target: Node, view: View) -> Expression:
    operand, name = expression(target, view), node.function
    if kind_of(operand) is not Kind.TEXT:
        raise mistake(view, target, f"`{name}` tests a text, found {spoken(kind_of(operand))}")
    match node.arguments:
        case (Constant(value=str(argument)),):
            return TestText(TextTest(name), operand, argument, node.place.point)
    raise mistake(view, node, f'`{name}` takes one constant text, such as .{name}("abc")')


def _has(node: Call, view: View) -> Expression:
    if node.target is None and len(node.arguments) == 1:
        operand = expression(node.arguments[0], view)
        if is_field(operand):
            return Compare(Comparison.NE, operand, Literal(None, None), node.place.start)
    raise mistake(view, node, HAS_TAKES)


def _timestamp(node: Call, view: View) -> Expression:
    match node.arguments:
        case (Constant(value=str(written)),) if node.target is None:
            try:
                return Literal(literals.timestamp_ms(written), Kind.TIME, node.place.start)
            except ValueError as error:
                raise mistake(view, node.arguments[0], str(error)) from None
    raise mistake(
        view, node, '`timestamp` takes one constant text: timestamp("2026-03-01T09:30:00Z")'
    )


_FORMS: dict[str, Callable[[Call, View], Expression]] = {
    "_&&_": _all,
    "_||_": _any,
    "!_": _not,
    "-_": _negative,
    "@in": _one_of,
    "has": _has,
    "timestamp": _timestamp,
    **{f"_{comparison}_": _compare for comparison in Comparison},
    **{f"_{operator}_": _arithmetic for operator in Operator},
}
_REFUSED = {
    "_?_:_": "`? :` is not supported: say it with `&&`, `||` and `!`, which can be explained",
    "_[_]": "`[...]` behind a value is not supported: write names with dots",
    "_%_": "`%` is not supported: numbers are decimals here",
}
