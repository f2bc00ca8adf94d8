"""Asks the running services about people, over gRPC, always for the latest that they know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as journey_pb
from coterie.messaging.v1 import message_pb2
from coterie.messaging.v1 import messaging_service_pb2 as messaging_pb
from coterie.profile.v1 import profile_pb2
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import identity_pb2
from services.host.client import Client
from tests.scenarios.cel import resource_id
from tests.scenarios.inputs import identities, who

Ids = Mapping[str, str]

LATEST = consistency_pb2.Consistency(latest=True)
PAGE = 1_000


class People:
    """Reads of one running suite. Nobody and nothing found is an empty answer, no failure."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def resolve(self, *people: Ids) -> list[int]:
        """Return the profile of each identifier, 0 where nobody has it."""
        wanted = [each for ids in people for each in identities(ids)]
        found: list[int] = []
        for first in range(0, len(wanted), PAGE):
            request = identity_pb.ResolveRequest(
                identities=wanted[first : first + PAGE], consistency=LATEST
            )
            answer = await self._client.identity.Resolve(request)
            found += answer.profile_ids
        return found

    async def profile_id(self, ids: Ids) -> int:
        """Return the profile that the first identifier finds, 0 where there is none."""
        return (await self.resolve(ids))[0]

    async def graph(self, profile_id: int) -> identity_pb.GetGraphResponse:
        """Return how a profile came together."""
        person = identity_pb2.Who(profile_id=profile_id)
        request = identity_pb.GetGraphRequest(who=person, consistency=LATEST)
        return await self._client.identity.GetGraph(request)

    async def profile(self, ids: Ids) -> profile_pb2.Profile | None:
        request = profile_pb.GetProfileRequest(who=who(ids), consistency=LATEST)
        answer = await _found(self._client.profile.GetProfile(request))
        return answer.profile if answer else None

    async def events(self, person: identity_pb2.Who) -> list[profile_pb2.TimelineEvent]:
        """Return all events of a person, the latest first."""

        async def page(token: str) -> Any:
            request = profile_pb.ListEventsRequest(
                who=person, page_size=PAGE, page_token=token, consistency=LATEST
            )
            return await _found(self._client.profile.ListEvents(request))

        return [event async for answer in _pages(page) for event in answer.events]

    async def is_member(self, ids: Ids, segment: str) -> bool:
        request = segmentation_pb.GetMembershipRequest(
            audience=f"audiences/{resource_id(segment)}", who=who(ids), consistency=LATEST
        )
        answer = await _found(self._client.segmentation.GetMembership(request))
        return bool(answer and answer.membership.member)

    async def instances(
        self, ids: Ids | None = None, journey: str | None = None
    ) -> list[journey_pb2.Instance]:
        """Return instances, the latest entry first; of all people and journeys if not said."""

        async def page(token: str) -> Any:
            request = journey_pb.ListInstancesRequest(
                journey=f"journeys/{resource_id(journey)}" if journey else "",
                who=who(ids) if ids else None,
                page_size=PAGE,
                page_token=token,
                consistency=LATEST,
            )
            return await _found(self._client.journey.ListInstances(request))

        return [each async for answer in _pages(page) for each in answer.instances]

    async def messages(self) -> list[message_pb2.Message]:
        """Return all messages to anybody."""

        async def page(token: str) -> Any:
            request = messaging_pb.ListMessagesRequest(
                page_size=PAGE, page_token=token, consistency=LATEST
            )
            return await _found(self._client.messaging.ListMessages(request))

        return [each async for answer in _pages(page) for each in answer.messages]


async def _pages(ask: Callable[[str], Awaitable[Any]]) -> AsyncIterator[Any]:
    token = ""
    while (answer := await ask(token)) is not None:
        yield answer
        token = answer.next_page_token
        if not token:
            return


async def _found(call: Awaitable[Any]) -> Any:
    """Return the answer, None where there is nobody."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        return None
