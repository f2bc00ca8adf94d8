"""Looks at a replayed directory through the API, after a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import identity_pb2
from services.host.client import Client
from services.host.embedded import Suite
from services.host.replay.run import replay_config

MANY = 1_000
SILENCE_S = 1.0
"""All of it is in the log already: a stream that says nothing for so long has told it."""


@dataclass
class Found:
    members: dict[str, set[str]] = field(default_factory=dict)
    entered: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    transitions: list[tuple[object, ...]] = field(default_factory=list)


async def inspect(data_dir: Path, namespace: str, values: list[str]) -> Found:
    """Return who is in what by the values of one namespace, and every transition there was."""
    suite = Suite(replay_config(data_dir, frozenset({namespace})))
    await suite.start()
    try:
        async with Client(suite.addresses()) as client:
            return await _inspect(client, namespace, values)
    finally:
        await suite.stop()


async def _inspect(client: Client, namespace: str, values: list[str]) -> Found:
    names = await _names(client, namespace, values)
    found = Found()
    listed = await client.segmentation.ListAudiences(pb.ListAudiencesRequest(page_size=MANY))
    for audience in listed.audiences:
        request = pb.ListMembersRequest(audience=audience.name)
        parts = [part async for part in client.segmentation.ListMembers(request)]
        people = [person for part in parts for person in part.profile_ids]
        assert people == sorted(people)
        assert len(people) == audience.member_count
        found.members[audience.name.partition("/")[2]] = {names[person] for person in people}
    call = client.segmentation.WatchTransitions(pb.WatchTransitionsRequest(from_start=True))
    messages = aiter(call)
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await anext(messages)
        except TimeoutError:
            break
        for one in message.transitions:
            audience_id = one.audience.partition("/")[2]
            (found.entered if one.entered else found.left)[audience_id] += 1
            found.transitions.append(
                (
                    names[one.profile_id],
                    audience_id,
                    one.entered,
                    one.time.ToMilliseconds(),
                    one.cause,
                    one.cause_id,
                    one.sequence,
                )
            )
    call.cancel()
    return found


async def _names(client: Client, namespace: str, values: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    for start in range(0, len(values), MANY):
        part = values[start : start + MANY]
        identities = [identity_pb2.Identity(namespace=namespace, value=value) for value in part]
        answer = await client.identity.Resolve(identity_pb.ResolveRequest(identities=identities))
        names |= dict(zip(answer.profile_ids, part, strict=True))
    names.pop(0, None)
    return names
