"""The walk of one instance: a function of the instance, its journey, the instant, and what holds.

Each function returns the instance as it is after the instant, with what it wants of messaging; an
instance that nothing moves comes back as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from services.journey.domain.definition import (
    EXIT,
    Branch,
    End,
    GoTo,
    Journey,
    Send,
    Wait,
    WaitFor,
    step_place,
)
from services.journey.domain.instance import EndReason, Instance, Trigger

Holds = Callable[[str], bool]
"""Tells whether the condition at a place of the journey holds for the instance now."""

IntentId = Callable[[str, str, str], str]
"""Makes the id of a message from instance, step and visit."""


@dataclass(frozen=True, slots=True)
class SendWanted:
    """A message is to be sent."""

    intent_id: str
    step: Send
    at_ms: int


@dataclass(frozen=True, slots=True)
class CancelWanted:
    """A message that was asked for is not to be sent."""

    intent_id: str
    reason: EndReason
    at_ms: int


Effect = SendWanted | CancelWanted


@dataclass(frozen=True, slots=True)
class Move:
    """An instance after an instant, and what it wants."""

    instance: Instance
    effects: tuple[Effect, ...] = ()


class Walk:
    """Walks the instances of one version. `intent_id` names the messages that they ask for."""

    def __init__(self, journey: Journey, intent_id: IntentId) -> None:
        self._journey = journey
        self._intent_id = intent_id

    def begin(self, instance: Instance, holds: Holds) -> Move:
        """Let a new instance take its first steps, at its entry."""
        return self._go(instance, self._journey.steps[0].step, instance.entry_ms, holds)

    def restart(self, instance: Instance, trigger: Trigger, now_ms: int, holds: Holds) -> Move:
        """Let the first wait begin again, with a newer trigger and the entry now."""
        renewed = replace(
            instance.left(now_ms, "restarted"),
            trigger=trigger,
            entry_ms=now_ms,
            expire_ms=self._journey.expire_ms(now_ms),
        )
        return self._go(renewed, self._journey.steps[0].step, now_ms, holds)

    def in_first_wait(self, instance: Instance) -> bool:
        """Whether it is in a first step that is a wait, and has been nowhere else."""
        first = self._journey.steps[0]
        been = all(visit.step == first.step for visit in instance.visits)
        again = all(visit.outcome == "restarted" for visit in instance.visits[:-1])
        return isinstance(first, Wait) and instance.due_ms is not None and been and again

    def look(self, instance: Instance, now_ms: int, holds: Holds) -> Move:
        """Look at what it waits for: something has changed that its conditions may speak of."""
        if self._exits(holds):
            return end(instance, now_ms, EndReason.EXIT_RULE)
        step = self._journey.step(instance.step)
        if isinstance(step, WaitFor) and holds(step_place(step.step)):
            return self._on(instance, now_ms, "held", holds)
        return Move(instance)

    def fire(self, instance: Instance, now_ms: int, holds: Holds) -> Move:
        """Do what is due now: its time is over, or its wait is."""
        if instance.expired(now_ms):
            return end(instance, now_ms, EndReason.EXPIRED)
        moved = self.look(instance, now_ms, holds)
        if moved.instance is not instance:
            return moved
        step = self._journey.step(instance.step)
        if isinstance(step, WaitFor):
            target = step.timeout_step or self._journey.after(step.step)
            return self._go(instance.left(now_ms, "timed_out"), target, now_ms, holds)
        return self._on(instance, now_ms, "waited", holds)

    def answered(self, instance: Instance, outcome: str, now_ms: int, holds: Holds) -> Move:
        """Go on from a send whose message has its last word."""
        if instance.expired(now_ms):
            return Move(instance.left(now_ms, outcome).ended(now_ms, EndReason.EXPIRED))
        if self._exits(holds):
            return Move(instance.left(now_ms, outcome).ended(now_ms, EndReason.EXIT_RULE))
        return self._on(instance, now_ms, outcome, holds)

    def _exits(self, holds: Holds) -> bool:
        return bool(self._journey.exit_rule) and holds(EXIT)

    def _on(self, instance: Instance, now_ms: int, outcome: str, holds: Holds) -> Move:
        following = self._journey.after(instance.step)
        return self._go(instance.left(now_ms, outcome), following, now_ms, holds)

    def _go(self, instance: Instance, step_id: str, now_ms: int, holds: Holds) -> Move:
        """Take steps from `step_id` on until one lasts, or the journey is over."""
        for _ in range(2 * len(self._journey.steps)):
            if not step_id:
                return Move(instance.ended(now_ms, EndReason.COMPLETED))
            instance = instance.reached(step_id, now_ms)
            step = self._journey.step(step_id)
            match step:
                case Wait() | WaitFor():
                    due_ms = self._due_ms(instance, step, now_ms, holds)
                    if due_ms is not None:
                        return Move(replace(instance, due_ms=due_ms))
                    outcome = "passed" if isinstance(step, Wait) else "held"
                    step_id = self._journey.after(step_id)
                case Branch():
                    held = holds(step_place(step_id))
                    outcome = "held" if held else "not_held"
                    if not held and not step.else_step:
                        instance = instance.left(now_ms, outcome)
                        return Move(instance.ended(now_ms, EndReason.CHECK_FAILED))
                    step_id = self._journey.after(step_id) if held else step.else_step
                case Send():
                    return self._send(instance, step, now_ms)
                case GoTo():
                    outcome, step_id = "went_on", step.target
                case End():
                    outcome, step_id = "ended", ""
                case _:
                    assert_never(step)
            instance = instance.left(now_ms, outcome)
        raise RuntimeError("expected a journey in which time passes, found a loop without a wait")

    def _due_ms(
        self, instance: Instance, step: Wait | WaitFor, now_ms: int, holds: Holds
    ) -> int | None:
        """Return when a step that waits is over by time, None where it is over already."""
        if isinstance(step, WaitFor):
            return None if holds(step_place(step.step)) else now_ms + step.timeout_ms
        due_ms = (instance.entry_ms if step.after_entry else now_ms) + step.duration_ms
        return due_ms if due_ms > now_ms else None

    def _send(self, instance: Instance, step: Send, now_ms: int) -> Move:
        visit = str(instance.visit_count)
        intent_id = self._intent_id(instance.instance_id, step.step, visit)
        return Move(instance.awaiting(intent_id), (SendWanted(intent_id, step, now_ms),))


def end(instance: Instance, now_ms: int, reason: EndReason) -> Move:
    """End an instance from outside its steps; a message that it waits for is withdrawn."""
    over = instance.left(now_ms, reason.value).ended(now_ms, reason)
    if not instance.message:
        return Move(over)
    return Move(over, (CancelWanted(instance.message, reason, now_ms),))


def later_entered(one: Instance, other: Instance) -> Instance:
    """Return which of two live instances of one journey and key ends when their people merge."""
    return max(one, other, key=lambda each: (each.entry_ms, each.instance_id))
