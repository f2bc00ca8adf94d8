"""A journey as a YAML file: who enters, and the steps in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coterie.journey.v1 import journey_pb2
from coterie.type.v1 import message_pb2
from services.host.definitions.document import Node, read_document
from services.host.definitions.duration import read_duration
from services.kit.names import audience_name

_KEYS = {
    "journey": "what commands and logs call it",
    "display_name": "a name for people",
    "entry": "who enters, and when",
    "reentry": "always, never, or {after: P30D}",
    "exit": "a rule that ends it as soon as it holds",
    "expires": "how long after the entry it ends wherever it is",
    "steps": "what happens, in order",
}
_ENTRY = {
    "audience": "becoming a member of it is an entry",
    "events": "each new row of it is an entry",
    "key": "person, event or item",
    "rule": "what must hold at entry",
    "restart_first_wait": "whether a newer row begins the first wait again",
    "max_lateness": "rows that come later than that start nothing",
}
_KEY_VALUES = {
    "person": journey_pb2.KEY_UNSPECIFIED,
    "event": journey_pb2.KEY_EVENT,
    "item": journey_pb2.KEY_ITEM,
}
_STEP = {
    "id": "what other steps call it",
    "wait": "a time that passes",
    "wait_until_entry": "wait until so long after the entry",
    "wait_for": "a rule to wait for",
    "timeout": "the longest wait for the rule",
    "timeout_step": "where to go on after the timeout",
    "branch": "a rule: where it holds, the next step follows",
    "else": "the step that follows where the branch's rule does not hold",
    "send": "a message",
    "go_to": "the step that follows",
    "end": "true: the journey ends here",
}
_SEND = {
    "campaign": "what the message is counted under",
    "channels": "where to send, in order",
    "template": "what it says",
    "purpose": "marketing or transactional",
    "timing": "asap or optimal",
}
_COMPANIONS = {"timeout": "wait_for", "timeout_step": "wait_for", "else": "branch"}
_CHANNELS = ("preferred", "email", "sms", "push", "assistant")


@dataclass(frozen=True, slots=True)
class JourneyFile:
    """One journey to publish."""

    journey_id: str
    journey: journey_pb2.Journey


def read_journey(file: str, text: str) -> JourneyFile:
    """Return the journey of a file's text; raises DocumentError with the line of what is wrong."""
    found = read_document(file, text).fields(_KEYS, ("journey", "entry", "steps"))
    journey_id = found["journey"].text()
    journey = journey_pb2.Journey(
        display_name=found["display_name"].text() if "display_name" in found else journey_id
    )
    _read_entry(found["entry"], journey.entry)
    if "reentry" in found:
        _read_reentry(found["reentry"], journey.entry)
    if "exit" in found:
        journey.exit_rule = found["exit"].text().strip()
    if "expires" in found:
        journey.expires_after.CopyFrom(read_duration(found["expires"]))
    for entry in found["steps"].entries():
        _read_step(entry, journey.steps.add())
    return JourneyFile(journey_id, journey)


def _read_entry(node: Node, entry: journey_pb2.Entry) -> None:
    found = node.fields(_ENTRY)
    if ("audience" in found) == ("events" in found):
        raise node.mistake("expected either `audience` or `events`")
    if "audience" in found:
        entry.audience = audience_name(found["audience"].text())
    else:
        entry.rows = found["events"].text().strip()
    if "key" in found:
        entry.key = _KEY_VALUES[found["key"].choice(*_KEY_VALUES)]
    if "rule" in found:
        entry.rule = found["rule"].text().strip()
    if "restart_first_wait" in found:
        entry.restart_first_wait = found["restart_first_wait"].flag()
    if "max_lateness" in found:
        entry.max_lateness.CopyFrom(read_duration(found["max_lateness"]))


def _read_reentry(node: Node, entry: journey_pb2.Entry) -> None:
    if node.is_mapping():
        found = node.fields({"after": "the least time since the last entry"}, ("after",))
        entry.reentry = journey_pb2.REENTRY_AFTER
        entry.reentry_after.CopyFrom(read_duration(found["after"]))
    elif node.choice("always", "never") == "never":
        entry.reentry = journey_pb2.REENTRY_NEVER


def _read_step(node: Node, step: journey_pb2.Step) -> None:
    found = node.fields(_STEP, ("id",))
    actions = [key for key in found if key in _ACTIONS]
    if len(actions) != 1:
        raise node.mistake(f"expected one of {', '.join(_ACTIONS)}; found {len(actions)} of them")
    for key, needs in _COMPANIONS.items():
        if key in found and actions != [needs]:
            raise found[key].mistake(f"has a meaning only with `{needs}`")
    step.id = found["id"].text()
    _ACTIONS[actions[0]](found, step)


def _wait(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    step.wait.duration.CopyFrom(read_duration(found["wait"]))


def _wait_until_entry(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    step.wait.until_after_entry.CopyFrom(read_duration(found["wait_until_entry"]))


def _wait_for(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    step.wait_for.rule = found["wait_for"].text().strip()
    if "timeout" not in found:
        raise found["wait_for"].mistake("'timeout' is missing: the longest wait for the rule")
    step.wait_for.timeout.CopyFrom(read_duration(found["timeout"]))
    if "timeout_step" in found:
        step.wait_for.timeout_step = found["timeout_step"].text()


def _branch(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    step.branch.rule = found["branch"].text().strip()
    if "else" in found:
        step.branch.else_step = found["else"].text()


def _send(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    parts = found["send"].fields(_SEND, ("campaign", "channels", "template"))
    send = step.send
    send.campaign = parts["campaign"].text()
    send.template = f"templates/{parts['template'].text()}"
    for entry in parts["channels"].entries():
        name = entry.choice(*_CHANNELS).upper()
        send.channels.append(message_pb2.SendChannel.Value(f"SEND_CHANNEL_{name}"))
    if "purpose" in parts:
        chosen = parts["purpose"].choice("marketing", "transactional")
        if chosen == "transactional":
            send.purpose = message_pb2.PURPOSE_TRANSACTIONAL
    if "timing" in parts and parts["timing"].choice("asap", "optimal") == "optimal":
        send.timing = message_pb2.TIMING_OPTIMAL


def _go_to(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    step.go_to.step = found["go_to"].text()


def _end(found: Mapping[str, Node], step: journey_pb2.Step) -> None:
    if not found["end"].flag():
        raise found["end"].wrong("true")
    step.end.SetInParent()


_ACTIONS: Mapping[str, Callable[[Mapping[str, Node], journey_pb2.Step], None]] = {
    "wait": _wait,
    "wait_until_entry": _wait_until_entry,
    "wait_for": _wait_for,
    "branch": _branch,
    "send": _send,
    "go_to": _go_to,
    "end": _end,
}
