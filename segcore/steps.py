"""Steps that would flip a rule for one person, as values: others put them in words.

Each names with `at` the offset of the clause that it is for.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from segcore.rule import Expression, Kind, Rows
from segcore.scalar import Value


class Obstacle(enum.StrEnum):
    """Why nothing that a person does flips a clause."""

    PAST = "past"
    """It is decided by what has happened, and no time undoes that."""

    SHARE = "share"
    """A share of profiles is drawn once for ever."""


@dataclass(frozen=True, slots=True)
class MoreRows:
    """So many more of these rows.

    `operand` and `amount` say what they come to together, in millionths, where that counts; `key`
    is the key that they need, such as a SKU, where they belong to rows of before.
    """

    rows: Rows
    count: int
    operand: Expression | None = None
    amount: int | None = None
    key: str | None = None
    at: int = -1


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Another value of an attribute, such as this one; None clears it."""

    name: str
    kind: Kind
    value: Value
    at: int = -1


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes until this instant, and nothing happens; not `without` in particular."""

    until_ms: int
    without: tuple[Rows, ...] = ()
    at: int = -1


@dataclass(frozen=True, slots=True)
class EnterAudience:
    """The person enters another audience."""

    audience_id: str
    at: int = -1


@dataclass(frozen=True, slots=True)
class LeaveAudience:
    """The person leaves another audience."""

    audience_id: str
    at: int = -1


@dataclass(frozen=True, slots=True)
class Cannot:
    """Nothing flips this clause, and without it not the rule."""

    node: Expression
    obstacle: Obstacle
    at: int = -1


Step = MoreRows | SetAttribute | Wait | EnterAudience | LeaveAudience | Cannot
