"""What names and calls mean in one part of a rule: over a person, or over a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from segcore.rule import Expression
from services.kit.rules.errors import RuleError
from services.kit.rules.tree import Call, Member, Node, Path

if TYPE_CHECKING:
    from services.kit.rules.situation import Situation


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


def mistake_at_name(view: View, node: Call, complaint: str) -> RuleError:
    """Return the error for the very name that a call writes."""
    start = node.place.point
    return RuleError(view.text, start, complaint, start + len(node.function))
