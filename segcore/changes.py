"""What the engine answers: who entered or left which audience."""

from __future__ import annotations

from typing import NamedTuple

from segcore.history import AttributeChange, Event
from segcore.rule import Expression


class Change(NamedTuple):
    """One profile entered or left one audience; `clock` says that time alone did it."""

    audience_id: str
    version: int
    ordinal: int
    entered: bool
    at_ms: int
    clock: bool


class Witness(NamedTuple):
    """A row by which a rule holds; `sku` is empty for a row that is an event."""

    event_id: str
    type: str
    occurred_ms: int
    sku: str


class Merged(NamedTuple):
    """What a merge changed for the winner.

    `inherited` are the audiences of which the winner is a member now because the loser was one.
    """

    changes: list[Change]
    inherited: tuple[str, ...]


class Departed(NamedTuple):
    """All that an engine has of one person: what it lets go and another one takes in.

    Events in the order of their arrival, the attribute values in effect each with the number of its
    arrival, and the active audiences that the person was in.
    """

    events: tuple[Event, ...]
    attribute_changes: tuple[tuple[int, AttributeChange], ...]
    audiences: tuple[str, ...]


class Definition(NamedTuple):
    """An audience as the engine holds it."""

    audience_id: str
    version: int
    rule: Expression
    active: bool
