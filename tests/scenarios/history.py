"""The entries and exits of people, with those of the profiles that became part of theirs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from services.host.client import Client
from tests.scenarios.people import LATEST, People
from tests.scenarios.telling import create_audience
from tests.scenarios.words import NEVER

MARKER = "scenario-over"
EVERYBODY = f'events("{NEVER}").count() == 0'
WATCH_S = 30.0


@dataclass(frozen=True, slots=True)
class Change:
    """An entry or an exit."""

    segment_id: str
    entered: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Merge:
    """A profile became part of another."""

    merged: int
    into: int
    at_ms: int


async def transitions(client: Client) -> list[audience_pb2.Transition]:
    """Return all transitions so far.

    A stream has no end. So an audience of everybody goes live last: where all entries into it have
    been told, everything before them has been, too.
    """
    await create_audience(client, MARKER, EVERYBODY)
    members = segmentation_pb.ListMembersRequest(audience=f"audiences/{MARKER}", consistency=LATEST)
    waiting: set[int] = set()
    async for part in client.segmentation.ListMembers(members):
        waiting.update(part.profile_ids)
    found: list[audience_pb2.Transition] = []
    if not waiting:
        return found
    request = segmentation_pb.WatchTransitionsRequest(from_start=True)
    stream = client.segmentation.WatchTransitions(request, timeout=WATCH_S)
    async for answer in stream:
        for each in answer.transitions:
            if each.audience == f"audiences/{MARKER}":
                waiting.discard(each.profile_id)
            else:
                found.append(each)
        if not waiting:
            stream.cancel()
            break
    return found


async def merges_of(people: People, profile_ids: Iterable[int]) -> dict[int, list[Merge]]:
    """Return, for each profile, the merges that made it what it is, the oldest first."""
    wanted = list(profile_ids)
    graphs = await asyncio.gather(*(people.graph(each) for each in wanted))
    return {
        profile_id: [
            Merge(entry.merged.merged_profile_id, profile_id, entry.time.ToMilliseconds())
            for entry in graph.journal
            if entry.HasField("merged")
        ]
        for profile_id, graph in zip(wanted, graphs, strict=True)
    }


def united(
    person: int, merges: Sequence[Merge], found: Sequence[audience_pb2.Transition]
) -> list[Change]:
    """Return the changes of a person: the union of the memberships of all that became one.

    Who is in on either side is in, and on a merge stays in without a new entry.
    """
    merged = {each.merged for each in merges}
    steps = [
        (each.time.ToMilliseconds(), 0 if each.profile_id in merged else 2, each)
        for each in found
        if each.profile_id == person or each.profile_id in merged
    ]
    told: list[tuple[int, int, audience_pb2.Transition | Merge]] = [*steps]
    told += [(each.at_ms, 1, each) for each in merges]
    told.sort(key=lambda step: step[:2])
    inside: Mapping[str, set[int]] = defaultdict(set)
    changes = []
    for at_ms, _, step in told:
        if isinstance(step, Merge):
            for holders in inside.values():
                if step.merged in holders:
                    holders.remove(step.merged)
                    holders.add(person)
            continue
        holders = inside[step.audience]
        before = bool(holders)
        (holders.add if step.entered else holders.discard)(step.profile_id)
        if bool(holders) != before:
            segment_id = step.audience.partition("/")[2]
            changes.append(Change(segment_id, step.entered, at_ms))
    return changes
