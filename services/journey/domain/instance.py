"""One person's way through one version: where it is, until when, and what happened in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from segcore.history import Event

VISITS_KEPT = 200
"""The latest visits that are kept: a loop may go on for years."""


class EndReason(enum.StrEnum):
    """Why an instance ended."""

    COMPLETED = "completed"
    EXIT_RULE = "exit_rule"
    EXPIRED = "expired"
    CHECK_FAILED = "check_failed"
    MERGED = "merged"
    STOPPED = "stopped"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The event that started an instance: as rules see it, and as it came, in bytes."""

    event: Event
    original: bytes


@dataclass(frozen=True, slots=True)
class Visit:
    """One step as it was taken."""

    step: str
    reach_ms: int
    leave_ms: int | None = None
    outcome: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Instance:
    """`due_ms` is the end of a wait; `message` the intent whose outcome is awaited.

    `entered_with` is the identifier by which its person became a member of the audience of entry.
    """

    instance_id: str
    journey_id: str
    version: int
    profile_id: int
    key: str
    entry_ms: int
    expire_ms: int | None = None
    trigger: Trigger | None = None
    step: str = ""
    due_ms: int | None = None
    message: str = ""
    end_ms: int | None = None
    end_reason: EndReason | None = None
    visits: tuple[Visit, ...] = ()
    visit_count: int = 0
    traceparent: str = ""
    entered_with: str = ""

    @property
    def came_with(self) -> str:
        """The identifier whose owner it belongs to; empty where none brought it."""
        return self.trigger.event.came_with if self.trigger is not None else self.entered_with

    @property
    def live(self) -> bool:
        """Whether it goes on."""
        return self.end_ms is None

    @property
    def next_ms(self) -> int | None:
        """The instant at which time alone moves it, None for never."""
        if not self.live:
            return None
        instants = [at_ms for at_ms in (self.due_ms, self.expire_ms) if at_ms is not None]
        return min(instants, default=None)

    def expired(self, now_ms: int) -> bool:
        """Whether its time is over: it is live in [entry, entry + d)."""
        return self.expire_ms is not None and self.expire_ms <= now_ms

    def reached(self, step: str, now_ms: int) -> Instance:
        """Return it at a step, with a new visit."""
        visits = (*self.visits, Visit(step, now_ms))[-VISITS_KEPT:]
        return replace(self, step=step, visits=visits, visit_count=self.visit_count + 1)

    def left(self, now_ms: int, outcome: str) -> Instance:
        """Return it after its step: the visit is over, and it waits for nothing."""
        last = replace(self.visits[-1], leave_ms=now_ms, outcome=outcome)
        return replace(self, visits=(*self.visits[:-1], last), due_ms=None, message="")

    def awaiting(self, message: str) -> Instance:
        """Return it as it waits for a message."""
        last = replace(self.visits[-1], message=message)
        return replace(self, visits=(*self.visits[:-1], last), message=message)

    def ended(self, now_ms: int, reason: EndReason) -> Instance:
        """Return it as over."""
        return replace(self, end_ms=now_ms, end_reason=reason, due_ms=None, message="")
