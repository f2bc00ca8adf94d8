"""Constant durations: `days(30)`, `hours(24)`, `duration("72h")`, and windows made of them."""

from __future__ import annotations

from segcore.rule import Kind, Literal
from services.kit.rules import literals
from services.kit.rules.names import call_mistake
from services.kit.rules.tree import Call, Constant, Node
from services.kit.rules.view import View, mistake
from services.kit.rules.words import DURATIONS


def span_of(node: Node, view: View) -> Literal | None:
    """Return the duration that a call makes, None where the node is none; raises RuleError."""
    match node:
        case Call(function="-_", arguments=(Call() as inner,)):
            found = span_of(inner, view)
            return None if found is None else negated(found, node)
        case Call(function=function, target=None) if function in DURATIONS or (
            function == "duration"
        ):
            try:
                return Literal(_length_ms(node, view), Kind.SPAN, node.place.start)
            except ValueError as error:
                raise mistake(view, node, str(error)) from None
    return None


def negated(span: Literal, node: Call) -> Literal:
    """Return a constant duration the other way round."""
    if not isinstance(span.value, int):
        raise TypeError(f"expected a duration, found {type(span.value).__name__}")
    return Literal(-span.value, Kind.SPAN, node.place.point)


def window_ms(node: Node, view: View) -> int:
    """Return the milliseconds of a window: a constant duration, longer than zero."""
    match node:
        case Call(function=name, target=None, arguments=(Constant(value=int(n)) as part,)) if (
            name in DURATIONS and not isinstance(n, bool) and n < 1
        ):
            raise mistake(view, part, f"`{name}` takes a whole number from 1 on, found {n}")
    found = span_of(node, view)
    if found is None:
        if isinstance(node, Call) and node.target is None and not node.arguments:
            raise call_mistake(view, node)
        raise mistake(
            view, node, 'expected a constant duration: days(30), hours(24) or duration("72h")'
        )
    length_ms = found.value
    if not isinstance(length_ms, int) or not 1 <= length_ms <= literals.WINDOW_MAX_MS:
        most = f"ten years ({literals.WINDOW_MAX_MS // DURATIONS['days']:,} days)"
        raise mistake(view, node, f"expected a duration longer than zero and at most {most}")
    return length_ms


def _length_ms(node: Call, view: View) -> int:
    function = node.function
    match node.arguments:
        case (Constant(value=int(whole)),) if function in DURATIONS and not isinstance(whole, bool):
            return literals.bounded_span(whole * DURATIONS[function])
        case (Constant(value=str(written)),) if function == "duration":
            return literals.bounded_span(literals.duration_ms(written))
    if function == "duration":
        raise mistake(view, node, '`duration` takes one constant text, such as duration("72h")')
    raise mistake(
        view, node, f"`{function}` takes one constant whole number, such as {function}(30)"
    )
