"""What of a condition of a journey time alone changes, and what a journey cannot tell."""

from __future__ import annotations

from segcore.nodes import Node, nodes_of
from segcore.rule import Age, Anniversary, Expression, Follow, Rows
from services.kit.rules.clause import clause_place
from services.kit.rules.errors import RuleError


def check_zone(text: str, expression: Expression) -> None:
    """Raise RuleError where what is left to the journey needs the local day of a person."""
    for node in nodes_of(expression):
        if isinstance(node, Anniversary) or (isinstance(node, Rows) and node.calendar_days):
            word = "anniversary" if isinstance(node, Anniversary) else "calendarDays"
            raise _mistake(
                text,
                node,
                f"`{word}` needs the zone of the person, which a journey does not know: say it of"
                " the person alone",
            )


def check_lasting(text: str, expression: Expression) -> None:
    """Raise RuleError where time alone would change what is left to the journey.

    A journey looks at its exit and its waits when something happens, and is not woken by a clock.
    """
    for node in nodes_of(expression):
        if word := _moving(node):
            raise _mistake(
                text,
                node,
                f"with `{word}` this changes by time alone, and a journey looks at its exit and"
                " its waits only when something happens: ask it at a branch",
            )


def _moving(node: Node) -> str | None:
    """Return the word by which time alone changes what a node keeps or comes to."""
    match node:
        case Age():
            return "age"
        case Rows(last_ms=int()):
            return "last"
        case Rows(older_ms=int()):
            return "olderThan"
        case Follow(absent=True, within_ms=int()):
            return "notFollowedBy"
        case _:
            return None


def _mistake(text: str, node: Node, complaint: str) -> RuleError:
    start, end = clause_place(text, node) or (node.at, None)
    return RuleError(text, start, complaint, end)
