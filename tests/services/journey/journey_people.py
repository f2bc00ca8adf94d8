"""What the model keeps: instances, versions, and events as rules see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coterie.journey.v1 import journey_pb2
from coterie.log.v1 import facts_pb2
from segcore.history import Event


@dataclass
class Walker:
    """One instance."""

    id: str
    journey: str
    version: int
    person: int
    key: str
    entry: int
    trigger: Event | None
    expire: int | None
    at: int = 0
    due: int | None = None
    message: str = ""
    end: tuple[int, str] | None = None
    visits: list[list[Any]] = field(default_factory=list)
    count: int = 0


@dataclass
class Published:
    """One version: the definition as it came, and its conditions."""

    definition: journey_pb2.Journey
    rules: dict[str, Any]
    open: bool = True


def nearest(walker: Walker) -> int | None:
    instants = [at for at in (walker.due, walker.expire) if at is not None]
    return min(instants, default=None)


def millis(duration: Any) -> int:
    return int(duration.ToMilliseconds())


def plain_event(fact: facts_pb2.Fact) -> Event:
    event = fact.event
    occurred = event.occurred_time.ToMilliseconds()
    if not event.HasField("occurred_time"):
        occurred = fact.received_ms
    properties = {name: value.text for name, value in event.properties.items()}
    return Event(event.event_id, event.type, occurred, fact.received_ms, ":", properties)
