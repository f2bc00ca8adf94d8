"""Expectations about where people are in journeys; read at their instant."""

from __future__ import annotations

from collections.abc import Sequence

from coterie.journey.v1 import journey_pb2
from tests.scenarios.cel import resource_id
from tests.scenarios.people import People
from tests.scenarios.scenario import Definition
from tests.scenarios.telling import Told
from tests.scenarios.times import shown
from tests.scenarios.verdict import Verdict, fails, judged

REASONS = {
    "exit_when": journey_pb2.END_REASON_EXIT_RULE,
    "expired": journey_pb2.END_REASON_EXPIRED,
    "completed": journey_pb2.END_REASON_COMPLETED,
    "check_failed": journey_pb2.END_REASON_CHECK_FAILED,
    "merged": journey_pb2.END_REASON_MERGED,
}


async def journey(people: People, told: Told, body: Definition) -> Verdict:
    """Judge as if the journey were whole; how far that is true is for the horizon to say."""
    if body["name"] not in told.plans:
        found: Sequence[journey_pb2.Instance] = ()
    else:
        found = await people.instances(body["who"], body["name"])
    live = [each for each in found if each.state == journey_pb2.INSTANCE_STATE_WAITING]
    ended = [each for each in found if each.state == journey_pb2.INSTANCE_STATE_ENDED]
    match body["state"]:
        case "none":
            holds = not found
        case "waiting":
            step = resource_id(body.get("step", ""))
            holds = any(step in ("", each.step) for each in live)
        case "ended" if "reason" in body:
            holds = any(each.end_reason == REASONS[body["reason"]] for each in ended)
        case "ended":
            holds = bool(ended) and not live
        case other:
            return fails(f"unknown state {other!r}")
    return judged(holds=holds, found="; ".join(map(_described, found)) or "no instance")


def _described(instance: journey_pb2.Instance) -> str:
    if instance.state == journey_pb2.INSTANCE_STATE_WAITING:
        return f"waiting at {instance.step}"
    reason = journey_pb2.EndReason.Name(instance.end_reason).removeprefix("END_REASON_").lower()
    ended = shown(instance.end_time.ToMilliseconds())
    return f"ended at {instance.step} ({reason}) {ended}"
