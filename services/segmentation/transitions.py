"""What a partition tells: who entered or left which audience, and why."""

from __future__ import annotations

from dataclasses import dataclass

from services.segmentation.domain import Cause, WitnessRow


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
