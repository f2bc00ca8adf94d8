"""Instances and events to rows of the tables, and back."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from typing import Any

from sqlalchemy import RowMapping

from segcore.history import Event, Item
from services.journey.domain.instance import EndReason, Instance, Trigger, Visit

Row = dict[str, Any]


def instance_row(instance: Instance, partition: int) -> Row:
    """Return the row of an instance."""
    trigger = instance.trigger
    return {
        "instance_id": instance.instance_id,
        "partition": partition,
        "journey_id": instance.journey_id,
        "version": instance.version,
        "profile_id": instance.profile_id,
        "key": instance.key,
        "live": instance.live,
        "step": instance.step,
        "entry_ms": instance.entry_ms,
        "due_ms": instance.due_ms,
        "expire_ms": instance.expire_ms,
        "next_ms": instance.next_ms,
        "message": instance.message,
        "end_ms": instance.end_ms,
        "end_reason": instance.end_reason.value if instance.end_reason else "",
        "trigger_event": None if trigger is None else event_text(trigger.event),
        "trigger_original": None if trigger is None else trigger.original,
        "visits": _compact([dataclasses.astuple(visit) for visit in instance.visits]),
        "visit_count": instance.visit_count,
        "traceparent": instance.traceparent,
        "came_with": instance.came_with,
    }


def instance_of(row: RowMapping) -> Instance:
    """Return the instance of a row."""
    text = row["trigger_event"]
    return Instance(
        instance_id=row["instance_id"],
        journey_id=row["journey_id"],
        version=row["version"],
        profile_id=row["profile_id"],
        key=row["key"],
        entry_ms=row["entry_ms"],
        expire_ms=row["expire_ms"],
        trigger=None if text is None else Trigger(event_of(text), row["trigger_original"]),
        step=row["step"],
        due_ms=row["due_ms"],
        message=row["message"],
        end_ms=row["end_ms"],
        end_reason=EndReason(row["end_reason"]) if row["end_reason"] else None,
        visits=tuple(Visit(*visit) for visit in json.loads(row["visits"])),
        visit_count=row["visit_count"],
        traceparent=row["traceparent"],
        entered_with="" if text is not None else row["came_with"],
    )


def event_text(event: Event) -> str:
    """Return an event as JSON: the type of each value says its kind, as in the event itself."""
    items = [dataclasses.astuple(item) for item in event.items]
    head = [event.event_id, event.type, event.occurred_ms, event.received_ms, event.came_with]
    properties = {name: _stored(value) for name, value in event.properties.items()}
    return _compact([*head, properties, items])


def event_of(text: str) -> Event:
    """Return the event of such a text."""
    event_id, kind, occurred_ms, received_ms, came_with, properties, items = json.loads(text)
    lines = tuple(Item(*item) for item in items)
    values = {name: _value(stored) for name, stored in properties.items()}
    return Event(event_id, kind, occurred_ms, received_ms, came_with, values, lines)


def _stored(value: object) -> object:
    return {"date": value.isoformat()} if isinstance(value, date) else value


def _value(stored: Any) -> Any:
    match stored:
        case {"date": str(day)}:
            return date.fromisoformat(day)
        case list():
            return tuple(stored)
        case _:
            return stored


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
