"""Attempts to enter: each by an event's row or by becoming a member, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

from segcore.history import Event
from segcore.reference import rows_of
from services.journey.conditions import Version
from services.journey.definitions import Definitions
from services.journey.domain.definition import ENTRY_RULE, EXIT, Key, Reentry
from services.journey.domain.entering import in_time, may_reenter
from services.journey.domain.instance import EndReason, Instance, Trigger
from services.journey.mover import Cause, Mover
from services.journey.working import Working
from services.kit.ids import derive_id


class Attempts:
    """Tries entries, of one step."""

    def __init__(self, working: Working, definitions: Definitions, mover: Mover) -> None:
        self._working = working
        self._definitions = definitions
        self._mover = mover

    def by_event(self, profile_id: int, trigger: Trigger, cause: Cause) -> None:
        """Try the entries of one event: one for each key that its rows have."""
        event = trigger.event
        for version in self._definitions.entered_by_type.get(event.type, ()):
            if version.entry_rows is None or not in_time(
                version.journey.entry, event.occurred_ms, event.received_ms
            ):
                continue
            for key in _keys(version, event):
                self._attempt(version, profile_id, key, trigger, event.event_id, cause)

    def by_audience(self, profile_id: int, audience_id: str, cause: Cause) -> None:
        """Try the entries of somebody who has become a member."""
        because = f"{audience_id}/{cause.facts_seq}/{cause.index}/{cause.now_ms}"
        for version in self._definitions.entered_by_audience.get(audience_id, ()):
            self._attempt(version, profile_id, "", None, because, cause)

    def _attempt(  # noqa: PLR0913, PLR0917 - what an entry is made of
        self,
        version: Version,
        profile_id: int,
        key: str,
        trigger: Trigger | None,
        because: str,
        cause: Cause,
    ) -> None:
        journey = version.journey
        live = self._live(profile_id, journey.journey_id, key, cause)
        if live is not None:
            if trigger is not None:
                self._restart(live, trigger, cause)
            return
        last_ms = None
        if journey.entry.reentry is not Reentry.ALWAYS:
            last_ms = self._working.last_entry_ms(profile_id, journey.journey_id, key)
        if not may_reenter(journey.entry, last_ms, cause.now_ms):
            return
        parts = (journey.journey_id, str(journey.version), str(profile_id), key, because)
        instance = Instance(
            instance_id=derive_id("instance", *parts),
            journey_id=journey.journey_id,
            version=journey.version,
            profile_id=profile_id,
            key=key,
            entry_ms=cause.now_ms,
            expire_ms=journey.expire_ms(cause.now_ms),
            trigger=trigger,
            entered_with="" if trigger is not None else cause.came_with,
        )
        if self._lets_in(version, instance, cause):
            self._mover.begin(version, instance, cause)

    def _live(self, profile_id: int, journey_id: str, key: str, cause: Cause) -> Instance | None:
        """Return the live instance, of any version; one whose time is over now is none."""
        for instance in self._working.live_of(profile_id):
            if instance.journey_id == journey_id and instance.key == key:
                if not instance.expired(cause.now_ms):
                    return instance
                self._mover.end(instance, EndReason.EXPIRED, replace(cause, traceparent=""))
        return None

    def _restart(self, live: Instance, trigger: Trigger, cause: Cause) -> None:
        """Let a newer row take the trigger's place, where the instance allows it."""
        version = self._definitions.version(live.journey_id, live.version)
        walk = self._definitions.walk(live.journey_id, live.version)
        if not version.journey.entry.restart_first_wait or not walk.in_first_wait(live):
            return
        former = live.trigger
        if former is not None and trigger.event.occurred_ms < former.event.occurred_ms:
            return
        if self._lets_in(version, replace(live, trigger=trigger, entry_ms=cause.now_ms), cause):
            self._mover.restart(live, trigger, cause)

    def _lets_in(self, version: Version, instance: Instance, cause: Cause) -> bool:
        """Return whether the entry rule holds and the exit rule does not."""
        holds = self._mover.holds(version, instance, cause)
        if version.journey.entry.rule and not holds(ENTRY_RULE):
            return False
        return not (version.journey.exit_rule and holds(EXIT))


def _keys(version: Version, event: Event) -> list[str]:
    """Return the keys of the rows that an event brings, each once, in the order of its lines."""
    if version.entry_rows is None:
        return []
    rows = rows_of(version.entry_rows, event)
    match version.journey.entry.key:
        case Key.PERSON:
            return [""] if rows else []
        case Key.EVENT:
            return [event.event_id] if rows else []
        case Key.ITEM:
            return list(dict.fromkeys(row.item.sku for row in rows if row.item is not None))
