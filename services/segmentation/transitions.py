"""What a partition tells: who entered or left which audience, and why."""

from __future__ import annotations

from dataclasses import dataclass

from services.segmentation.domain import Cause, WitnessRow
from services.segmentation.versions import Moved


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry or exit of one person, or of all whom a definition moves (`people`)."""

    audience_id: str
    version: int
    entered: bool
    at_ms: int
    cause: Cause
    cause_id: str
    ordinal: int
    sequence: int
    people: bytes = b""
    witnesses: tuple[WitnessRow, ...] = ()


def of_many(moved: Moved, at_ms: int) -> Transition:
    """Return what a definition did to everybody whom it moved one way."""
    people = moved.people.serialize()
    audience_id, version, entered = moved.audience_id, moved.version, moved.entered
    return Transition(audience_id, version, entered, at_ms, Cause.DEFINITION, "", 0, 0, people)
