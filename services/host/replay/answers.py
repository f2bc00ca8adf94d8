"""Asks the services what a replay came to: sizes, entries and exits, and an example of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import identity_pb2
from services.host.client import Client
from services.host.replay.outcome import AudienceOutcome, Example, LastByTime
from services.kit.names import audience_name, parse_audience_name

TIMEOUT_S = 60.0
SILENCE_S = 0.3
"""On one machine a stream that is silent for so long, with all sums right, has told everything."""


async def outcomes(client: Client, revision: str) -> list[AudienceOutcome]:
    """Return the audiences as they are at the revision, with all entries and exits until then."""
    found = {
        one.name: AudienceOutcome(
            parse_audience_name(one.name, "name"), one.display_name, one.member_count
        )
        for one in await _list(client, revision)
    }
    if found:
        await _count_transitions(client, found)
    for one in found.values():
        if one.last_by_time is not None:
            who = await _who(client, one.last_by_time.profile_id)
            one.last_by_time = replace(one.last_by_time, who=who)
    return list(found.values())


async def example(client: Client, found: Sequence[AudienceOutcome]) -> Example | None:
    """Return one change by time alone with its reasons, an entry where there is one."""
    told = [(one, last) for one in found if (last := one.last_by_time) is not None]
    told.sort(key=lambda pair: not pair[1].entered)
    if not told:
        return None
    one, last = told[0]
    request = pb.ExplainRequest(
        audience=audience_name(one.audience_id), who=identity_pb2.Who(profile_id=last.profile_id)
    )
    answer = await client.segmentation.Explain(request, timeout=TIMEOUT_S)
    return Example(last.who, one.audience_id, answer)


async def _list(client: Client, revision: str) -> Sequence[audience_pb2.Audience]:
    consistency = consistency_pb2.Consistency(at_least=revision)
    request = pb.ListAudiencesRequest(page_size=1000, consistency=consistency)
    audiences: list[audience_pb2.Audience] = []
    while True:
        page = await client.segmentation.ListAudiences(request, timeout=TIMEOUT_S)
        audiences += page.audiences
        if not page.next_page_token:
            return audiences
        request.page_token = page.next_page_token


async def _count_transitions(client: Client, found: dict[str, AudienceOutcome]) -> None:
    call = client.segmentation.WatchTransitions(pb.WatchTransitionsRequest(from_start=True))
    messages: Any = aiter(call)
    try:
        while True:
            complete = all(one.entered - one.left == one.size for one in found.values())
            try:
                async with asyncio.timeout(SILENCE_S if complete else TIMEOUT_S):
                    answer = await anext(messages)
            except TimeoutError:
                return
            if not answer.transitions:
                return
            for transition in answer.transitions:
                if transition.audience in found:
                    _note(found[transition.audience], transition)
    finally:
        call.cancel()


def _note(one: AudienceOutcome, transition: audience_pb2.Transition) -> None:
    if transition.entered:
        one.entered += 1
    else:
        one.left += 1
    if transition.cause == audience_pb2.CAUSE_CLOCK:
        one.by_time_alone += 1
        one.last_by_time = LastByTime(
            transition.profile_id, transition.entered, transition.time.ToMilliseconds()
        )


async def _who(client: Client, profile_id: int) -> str:
    """Return an identifier of the profile as the commands take it."""
    request = profile_pb.GetProfileRequest(who=identity_pb2.Who(profile_id=profile_id))
    answer = await client.profile.GetProfile(request, timeout=TIMEOUT_S)
    for identity in answer.profile.identities:
        return f"{identity.namespace}:{identity.value}"
    return str(profile_id)
