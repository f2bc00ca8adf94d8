"""What the engine of audiences runs of the language, until it runs all of it.

One check, and nothing else, knows: when the engine runs the rest, this module goes.
"""

from __future__ import annotations

from segcore.nodes import Node, nodes_of
from segcore.rule import (
    Age,
    Aggregate,
    Anniversary,
    Bucket,
    Expression,
    Fold,
    Follow,
    Rows,
)
from services.kit.rules.clause import clause_place
from services.kit.rules.errors import RuleError

_FOLDS = frozenset((Fold.EXISTS, Fold.COUNT, Fold.SUM))


def check_supported(text: str, rule: Expression) -> None:
    """Raise RuleError at the first part of an audience's rule that its engine cannot run."""
    for node in nodes_of(rule):
        if word := _missing(node):
            start, end = clause_place(text, node) or (max(node.at, 0), None)
            raise RuleError(text, start, f"`{word}` is not supported yet", end)


def _missing(node: Node) -> str | None:  # noqa: PLR0911 - one line a form
    match node:
        case Age():
            return "age"
        case Anniversary():
            return "anniversary"
        case Bucket():
            return "bucket"
        case Follow(absent=absent):
            return "notFollowedBy" if absent else "followedBy"
        case Aggregate(fold=fold) if fold not in _FOLDS:
            return str(fold)
        case Rows():
            return _missing_of_rows(node)
        case _:
            return None


def _missing_of_rows(rows: Rows) -> str | None:
    words = {
        "olderThan": rows.older_ms is not None,
        "calendarDays": rows.calendar_days is not None,
        "between": bool(rows.until_times),
        "since": bool(rows.from_times),
    }
    return next((word for word, used in words.items() if used), None)
