"""Moves instances: walks one, keeps what it came to, and what it wants of messaging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from coterie.log.v1 import intents_pb2
from services.journey.conditions import Surroundings, Version, holds_for
from services.journey.definitions import Definitions
from services.journey.domain.instance import EndReason, Instance, Trigger
from services.journey.domain.walk import Holds, Move, Walk, end
from services.journey.intents import intent_of
from services.journey.working import Working
from services.kit.telemetry import Tracing


@dataclass(frozen=True, slots=True)
class Cause:
    """By what and when something moves: the facts record and its input, and the input's trace.

    `came_with` is the identifier by which the input names its person; empty where none does.
    """

    now_ms: int
    facts_seq: int
    index: int
    traceparent: str = ""
    came_with: str = ""


class Mover:
    """Moves the instances of one step; `intents` are what they want, by facts record."""

    def __init__(
        self,
        working: Working,
        definitions: Definitions,
        around: Surroundings,
        tracing: Tracing,
    ) -> None:
        self._working = working
        self._definitions = definitions
        self._around = around
        self._tracing = tracing
        self.intents: dict[int, list[intents_pb2.Intent]] = {}

    def look(self, instance: Instance, cause: Cause) -> None:
        """Look at an instance of whose conditions something may have changed."""
        self._walk(instance, cause, lambda walk, holds: walk.look(instance, cause.now_ms, holds))

    def fire(self, instance: Instance, cause: Cause) -> None:
        """Do what is due now."""
        self._walk(instance, cause, lambda walk, holds: walk.fire(instance, cause.now_ms, holds))

    def answer(self, instance: Instance, outcome: str, cause: Cause) -> None:
        """Go on from a message that has its last word."""
        self._walk(
            instance,
            cause,
            lambda walk, holds: walk.answered(instance, outcome, cause.now_ms, holds),
        )

    def end(self, instance: Instance, reason: EndReason, cause: Cause) -> None:
        """End an instance wherever it is."""
        self._keep(end(instance, cause.now_ms, reason), instance.traceparent, cause)

    def begin(self, version: Version, instance: Instance, cause: Cause) -> None:
        """Let a new instance take its first steps."""
        holds = self.holds(version, instance, cause)
        walk = self._definitions.walk(instance.journey_id, instance.version)
        self._keep(walk.begin(instance, holds), "", cause)

    def restart(self, instance: Instance, trigger: Trigger, cause: Cause) -> None:
        """Let the first wait begin again with a newer trigger."""
        version = self._definitions.version(instance.journey_id, instance.version)
        renewed = replace(instance, trigger=trigger, entry_ms=cause.now_ms)
        holds = self.holds(version, renewed, cause)
        walk = self._definitions.walk(instance.journey_id, instance.version)
        moved = walk.restart(instance, trigger, cause.now_ms, holds)
        self._keep(moved, instance.traceparent, cause)

    def holds(self, version: Version, instance: Instance, cause: Cause) -> Callable[[str], bool]:
        """Return what tells whether a condition of the version holds for the instance now."""
        return holds_for(version, instance, cause.now_ms, self._around)

    def _walk(self, instance: Instance, cause: Cause, act: Callable[[Walk, Holds], Move]) -> None:
        version = self._definitions.version(instance.journey_id, instance.version)
        walk = self._definitions.walk(instance.journey_id, instance.version)
        moved = act(walk, self.holds(version, instance, cause))
        if moved.instance is not instance:
            self._keep(moved, instance.traceparent, cause)

    def _keep(self, moved: Move, former: str, cause: Cause) -> None:
        """Store a move. Its span is in the trace of what caused it, else the first of a new one.

        Either way it links to the span of the former step, which a wait has ended.
        """
        traced = cause.traceparent or former
        if not (self._tracing.enabled and traced):
            self._store(moved, cause, "")
            return
        if cause.traceparent:
            step = self._tracing.span("journey.step", cause.traceparent, links=[former])
        else:
            step = self._tracing.continuation("journey.step", former)
        with step as span:
            span.set_attribute("coterie.journey", moved.instance.journey_id)
            span.set_attribute("coterie.step", moved.instance.step)
            self._store(moved, cause, self._tracing.current_traceparent())

    def _store(self, moved: Move, cause: Cause, traceparent: str) -> None:
        instance = moved.instance
        if traceparent:
            instance = replace(instance, traceparent=traceparent)
        self._working.put(instance)
        if not moved.effects:
            return
        version = self._definitions.version(instance.journey_id, instance.version)
        wanted = self.intents.setdefault(cause.facts_seq, [])
        for effect in moved.effects:
            wanted.append(intent_of(effect, instance, version.journey, cause.index, traceparent))
