"""Instants that bound rows, in `since` and `between`."""

from __future__ import annotations

from segcore.kinds import kind_of
from segcore.rule import Aggregate, Attribute, Expression, Fold, Kind, Literal, Shift, TriggerField
from services.kit.rules import scalar
from services.kit.rules.tree import Node
from services.kit.rules.values import spoken
from services.kit.rules.view import View, mistake

_ENDS = frozenset((Fold.LATEST, Fold.EARLIEST))


def bound(node: Node, name: str, view: View) -> Expression:
    """Return the instant at which rows begin or end to count; raises RuleError for no such one."""
    found = scalar.expression(node, view)
    kind = kind_of(found)
    if kind is not Kind.TIME:
        hint = ": a day has no instant without a zone" if kind is Kind.DATE else ""
        raise mistake(view, node, f"`{name}` takes a time, found {spoken(kind)}{hint}")
    if not _is_bound(found):
        raise mistake(
            view,
            node,
            f"`{name}` takes a constant, an attribute, or `latest` or `earliest` of rows, with or"
            " without a duration added",
        )
    return found


def _is_bound(expression: Expression) -> bool:
    match expression:
        case Literal() | Attribute() | TriggerField():
            return True
        case Shift(operand=operand):
            return _is_bound(operand)
        case Aggregate(fold=fold):
            return fold in _ENDS
        case _:
            return False
