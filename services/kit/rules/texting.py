"""Functions of texts and lists of texts."""

from __future__ import annotations

from segcore.kinds import kind_of
from segcore.rule import Expression, FormText, Kind, Size, TestText, TextForm, TextTest
from services.kit.rules.tree import Call, Constant, Node
from services.kit.rules.values import spoken
from services.kit.rules.view import View, mistake


def text_test(node: Call, target: Node, operand: Expression, view: View) -> TestText:
    """Return `operand.startsWith("...")` and its like."""
    name = node.function
    _check_text(name, "tests", target, operand, view)
    match node.arguments:
        case (Constant(value=str(argument)),):
            return TestText(TextTest(name), operand, argument, node.place.point)
    raise mistake(view, node, f'`{name}` takes one constant text, such as .{name}("abc")')


def text_form(node: Call, target: Node, operand: Expression, view: View) -> FormText:
    """Return `operand.lowerAscii()` and its like."""
    name = node.function
    _check_text(name, "changes", target, operand, view)
    if node.arguments:
        raise mistake(view, node.arguments[0], f"`{name}` takes nothing: write .{name}()")
    return FormText(TextForm(name), operand, node.place.point)


def size(node: Call, counted: Node, operand: Expression, view: View) -> Size:
    """Return how many characters a text has, or how many texts are in a list."""
    kind = kind_of(operand)
    if kind not in {Kind.TEXT, Kind.TEXTS}:
        raise mistake(
            view,
            counted,
            f"`size` counts the characters of a text or the texts of a list, found {spoken(kind)}",
        )
    return Size(operand, node.place.point)


def _check_text(name: str, verb: str, target: Node, operand: Expression, view: View) -> None:
    if kind_of(operand) is not Kind.TEXT:
        raise mistake(view, target, f"`{name}` {verb} a text, found {spoken(kind_of(operand))}")
