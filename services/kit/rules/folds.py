"""What chains of rows come to: `exists`, `count`, `sum` and their like."""

from __future__ import annotations

from segcore.instance import is_instance_word
from segcore.kinds import kind_of
from segcore.nodes import nodes_of
from segcore.rule import Aggregate, Attribute, Expression, Fold, Kind, Rows
from services.kit.rules import scalar
from services.kit.rules.chains import SOURCES
from services.kit.rules.errors import RuleError
from services.kit.rules.names import call_mistake
from services.kit.rules.narrowing import row_view
from services.kit.rules.rows import rows_of
from services.kit.rules.tree import Call, Node
from services.kit.rules.values import spoken
from services.kit.rules.view import View, mistake
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import FOLDS, NARROWING

VALUES_APART = (
    "a journey knows which rules hold for a person, not their values; test it apart, with `&&` or"
    " `||`"
)
_NUMBERS = frozenset((Fold.SUM, Fold.AVG))
_ORDERED = frozenset((Fold.MIN, Fold.MAX))
_BARE = frozenset((Fold.EXISTS, Fold.COUNT))
_EITHER = frozenset((Fold.LATEST, Fold.EARLIEST))
_EXAMPLES = {
    Fold.SUM: "one number, such as .sum(item.price * item.quantity)",
    Fold.AVG: "one number, such as .avg(event.total)",
    Fold.MIN: "one number or time, such as .min(item.price)",
    Fold.MAX: "one number or time, such as .max(event.total)",
    Fold.DISTINCT: "one value, such as .distinct(item.sku)",
    Fold.LATEST: "one value or nothing, such as .latest(event.channel)",
    Fold.EARLIEST: "one value or nothing, such as .earliest(event.channel)",
}


def aggregate(node: Call, view: View, vocabulary: Vocabulary) -> Expression:
    """Return what a chain of rows comes to; raises RuleError where it ends as rows."""
    if node.function not in FOLDS or node.target is None:
        if node.function in {*SOURCES, *NARROWING}:
            rows_of(node, view, vocabulary, followed=True)
            raise mistake(
                view, node, "these are rows: end with `.exists()`, `.count()` or `.sum(...)`"
            )
        raise call_mistake(view, node)
    rows = rows_of(node.target, view, vocabulary)
    fold = Fold(node.function)
    found = Aggregate(rows, fold, _operand(node, fold, rows, view, vocabulary), node.place.start)
    if any(is_instance_word(part) for part in nodes_of(found)):
        _check_instance(found, node, view)
    return found


def _operand(
    node: Call, fold: Fold, rows: Rows, view: View, vocabulary: Vocabulary
) -> Expression | None:
    if fold in _BARE:
        if not node.arguments:
            return None
        complaint = f"`{fold}` takes nothing: narrow the rows with `.where(...)` before it"
        raise mistake(view, node.arguments[0], complaint)
    if fold in _EITHER and not node.arguments:
        return None
    if len(node.arguments) != 1:
        raise mistake(view, node, f"`{fold}` takes {_EXAMPLES[fold]}")
    (argument,) = node.arguments
    operand = scalar.expression(argument, row_view(rows, str(fold), view, vocabulary))
    if wrong := _kind_mistake(fold, kind_of(operand)):
        raise mistake(view, argument, wrong)
    return operand


def _kind_mistake(fold: Fold, kind: Kind | None) -> str | None:
    if fold in _NUMBERS and kind is not Kind.NUMBER:
        return f"expected a number, found {spoken(kind)}"
    if fold in _ORDERED and kind not in {Kind.NUMBER, Kind.TIME}:
        return f"`{fold}` takes a number or a time, found {spoken(kind)}"
    if kind in {None, Kind.SPAN}:
        return f"`{fold}` takes a value of the row, found {spoken(kind)}"
    return None


def _check_instance(found: Aggregate, node: Node, view: View) -> None:
    """Raise RuleError where rows of one instance need more than a journey looks at."""
    for part in nodes_of(found):
        if isinstance(part, Rows) and part.since is None:
            raise mistake(
                view,
                node,
                "rows that are compared with `trigger` or `key`, and those that stand with them,"
                " need `.since(trigger)` or `.since(entry)`: a journey looks only at what happens"
                " from then on",
            )
        if isinstance(part, Attribute):
            raise RuleError(
                view.text,
                part.at,
                f"rows of one instance do not depend on the person: {VALUES_APART}",
                part.at + len(f"profile.{part.name}"),
            )
