"""Turns journeys into the product's own, each as far as the product can say it.

A step that cannot be said becomes an end, so that what happens before it is exact. A journey whose
entry, conditions or exit cannot be said is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.duration_pb2 import Duration

from coterie.journey.v1 import journey_pb2
from coterie.messaging.v1 import template_pb2
from coterie.type.v1 import message_pb2
from tests.scenarios.cel import resource_id
from tests.scenarios.conditions import Place, entry_rows, rule_of
from tests.scenarios.faults import NotYet, ScenarioError
from tests.scenarios.scenario import Definition
from tests.scenarios.templates import template_of
from tests.scenarios.times import duration_ms
from tests.scenarios.words import SEND_CHANNELS

_KEYS = {
    "profile": journey_pb2.KEY_UNSPECIFIED,
    "event": journey_pb2.KEY_EVENT,
    "item": journey_pb2.KEY_ITEM,
}
_ENTRIES = ("event", "segment", "calendar", "catalog", "predicted")
_SEND = ("campaign", "purpose", "channels", "content", "timing", "items", "incentive", "recommend")
_MISSING = {
    "items": "messages that list an item set",
    "incentive": "offers in messages",
    "recommend": "recommendations in messages",
    "suppress_if": "conditions of a single message",
}


@dataclass(frozen=True)
class Plan:
    """A journey as the product is told of it. `cuts` gives, for a step that is none, why."""

    name: str
    journey: journey_pb2.Journey
    templates: Mapping[str, template_pb2.Template]
    cuts: Mapping[str, str] = field(default_factory=dict)

    @property
    def journey_id(self) -> str:
        return resource_id(self.name)

    def cut(self, index: int, reason: str) -> Plan:
        """Return the plan with an end in place of one step."""
        journey = journey_pb2.Journey()
        journey.CopyFrom(self.journey)
        step = journey.steps[index]
        step.end.SetInParent()
        _prune(journey)
        return replace(self, journey=journey, cuts={**self.cuts, step.id: reason})


def plan_of(name: str, definition: Definition, place: Place, lateness: str | None) -> Plan:
    """Return the plan of a journey.

    Raises NotYet where nothing of it can be played, ScenarioError where it is no journey.
    """
    place = replace(place, key=definition.get("key", "profile"))
    journey = journey_pb2.Journey(
        display_name=name, entry=_entry(definition, place, lateness), exit_rule=""
    )
    if "exit_when" in definition:
        journey.exit_rule = rule_of(definition["exit_when"], place)
    if "expires" in definition:
        journey.expires_after.CopyFrom(_duration(definition["expires"]))
    templates: dict[str, template_pb2.Template] = {}
    cuts: dict[str, str] = {}
    for written in definition["steps"]:
        step_id = resource_id(written["id"])
        try:
            step = _step(written, f"{resource_id(name)}-{step_id}", place, templates)
        except NotYet as missing:
            cuts[step_id] = str(missing)
            step = journey_pb2.Step(end=journey_pb2.End())
        step.id = step_id
        journey.steps.append(step)
    if cuts:
        _prune(journey)
    return Plan(name, journey, templates, cuts)


def campaigns(definition: Definition) -> list[tuple[str, str]]:
    """Return campaign and purpose of each message that a journey can send."""
    sends = [step["send"] for step in definition["steps"] if "send" in step]
    return [(send["campaign"], send.get("purpose", "marketing")) for send in sends]


def _entry(definition: Definition, place: Place, lateness: str | None) -> journey_pb2.Entry:
    written = definition["entry"]
    entry = journey_pb2.Entry(key=_KEYS[place.key])
    if written.get("interested"):
        raise NotYet("interest in an item, also by a model (`interested`)")
    if "segment" in written:
        rule_of({"segment": written["segment"]}, place)
        entry.audience = f"audiences/{resource_id(written['segment'])}"
    elif "event" in written:
        entry.rows = entry_rows(written, by_item=place.key == "item")
        if lateness:
            entry.max_lateness.CopyFrom(_duration(lateness))
    else:
        kind = next((kind for kind in _ENTRIES if kind in written), None)
        if kind is None:
            raise ScenarioError(f"expected an entry by {', '.join(_ENTRIES)}, found {written}")
        raise NotYet(f"entry by {kind}")
    entry.restart_first_wait = definition.get("restart") == "first_wait"
    if "when" in definition:
        entry.rule = rule_of(definition["when"], place)
    reentry = definition.get("reentry", "always")
    if reentry == "never":
        entry.reentry = journey_pb2.REENTRY_NEVER
    elif reentry != "always":
        entry.reentry = journey_pb2.REENTRY_AFTER
        entry.reentry_after.CopyFrom(_duration(reentry["after"]))
    return entry


def _step(
    written: Definition, template_id: str, place: Place, templates: dict[str, Any]
) -> journey_pb2.Step:
    step = journey_pb2.Step()
    if "send" in written:
        step.send.CopyFrom(_send(written["send"], template_id, templates))
    elif "wait" in written:
        step.wait.duration.CopyFrom(_duration(written["wait"]))
    elif "until_entry" in written:
        step.wait.until_after_entry.CopyFrom(_duration(written["until_entry"]))
    elif "check" in written:
        step.branch.rule = rule_of(written["check"], place)
        step.branch.else_step = resource_id(written.get("else", ""))
    elif "goto" in written:
        step.go_to.step = resource_id(written["goto"])
    else:
        raise ScenarioError(f"step {written['id']}: unknown kind, found {sorted(written)}")
    return step


def _send(written: Definition, template_id: str, templates: dict[str, Any]) -> journey_pb2.Send:
    for name, missing in _MISSING.items():
        if written.get(name):
            raise NotYet(missing)
    stray = sorted(set(written) - set(_SEND) - set(_MISSING))
    if stray:
        raise ScenarioError(f"unknown `{stray[0]}` in a send; there are {', '.join(_SEND)}")
    purpose = written.get("purpose", "marketing")
    templates[template_id] = template_of(written["content"], written["campaign"])
    send = journey_pb2.Send(
        campaign=written["campaign"],
        channels=[SEND_CHANNELS[channel] for channel in written["channels"]],
        template=f"templates/{template_id}",
    )
    if purpose == "transactional":
        send.purpose = message_pb2.PURPOSE_TRANSACTIONAL
    if written.get("timing") == "optimal":
        send.timing = message_pb2.TIMING_OPTIMAL
    return send


def _prune(journey: journey_pb2.Journey) -> None:
    """Leave out the steps to which no way leads any more: the product refuses such."""
    steps = list(journey.steps)
    index = {step.id: number for number, step in enumerate(steps)}
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        number = waiting.pop()
        if number in reached or number >= len(steps):
            continue
        reached.add(number)
        step = steps[number]
        if step.HasField("go_to"):
            waiting.append(index[step.go_to.step])
        elif not step.HasField("end"):
            waiting.append(number + 1)
        if step.HasField("branch") and step.branch.else_step:
            waiting.append(index[step.branch.else_step])
    del journey.steps[:]
    journey.steps.extend(step for number, step in enumerate(steps) if number in reached)


def _duration(text: str) -> Duration:
    length_ms = duration_ms(text)
    return Duration(seconds=length_ms // 1000)
