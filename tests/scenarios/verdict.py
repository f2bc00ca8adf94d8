"""What an expectation comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["holds", "fails", "not yet"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it holds; where it fails, what was found; where it cannot be tried, why."""

    state: State
    found: str = ""
    reason: str = ""


HOLDS = Verdict("holds")


def fails(found: Any) -> Verdict:
    return Verdict("fails", found=str(found))


def not_yet(reason: str) -> Verdict:
    return Verdict("not yet", reason=reason)


def judged(*, holds: bool, found: Any) -> Verdict:
    return HOLDS if holds else fails(found)
