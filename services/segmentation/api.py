"""The gRPC face of segmentation: parse, call, render."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from grpc import aio

from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.segmentation.v1 import segmentation_service_pb2_grpc as rpc
from coterie.type.v1 import identity_pb2
from services.kit import paging
from services.kit.errors import NotFound, invalid_field
from services.kit.freshness import Freshness, check_token, format_revision, settle
from services.kit.names import parse_audience_name
from services.segmentation import wire
from services.segmentation.app import Audiences
from services.segmentation.explanation import render_explanation
from services.segmentation.peers import Identities
from services.segmentation.watch import Watcher

MEMBERS_A_MESSAGE = 5_000

Call = aio.ServicerContext[Any, Any]


class SegmentationApi(rpc.SegmentationServiceServicer):
    """Serves `coterie.segmentation.v1.SegmentationService`."""

    def __init__(
        self,
        audiences: Audiences,
        watcher: Watcher,
        identities: Identities,
        freshness: Freshness,
        latest: Callable[[], int],
    ) -> None:
        self._audiences = audiences
        self._watcher = watcher
        self._identities = identities
        self._freshness = freshness
        self._latest = latest

    async def CreateAudience(
        self, request: pb.CreateAudienceRequest, _context: Call
    ) -> pb.CreateAudienceResponse:
        """Save an audience."""
        new = wire.parse_new(request)
        await self._settle(consistency_pb2.Consistency(latest=True))
        audience, position = await self._audiences.create(new)
        return pb.CreateAudienceResponse(
            audience=wire.render_audience(audience), revision=format_revision(position)
        )

    async def GetAudience(
        self, request: pb.GetAudienceRequest, _context: Call
    ) -> pb.GetAudienceResponse:
        """Return one audience."""
        audience_id = parse_audience_name(request.name, "name")
        await self._settle(request.consistency)
        audience = await self._audiences.get(audience_id)
        return pb.GetAudienceResponse(audience=wire.render_audience(audience))

    async def ListAudiences(
        self, request: pb.ListAudiencesRequest, _context: Call
    ) -> pb.ListAudiencesResponse:
        """List audiences by name."""
        size = paging.page_size(request.page_size)
        key = paging.read_page_token(request, request.page_token)
        await self._settle(request.consistency)
        after = str(key[0]) if key else ""
        found = await self._audiences.list_after(after, size + 1, owned=request.show_owned)
        page = found[:size]
        response = pb.ListAudiencesResponse(audiences=[wire.render_audience(a) for a in page])
        if len(found) > size:
            last = page[-1].definition.audience_id
            response.next_page_token = paging.issue_page_token(request, last)
        return response

    async def GetMembership(
        self, request: pb.GetMembershipRequest, _context: Call
    ) -> pb.GetMembershipResponse:
        """Tell whether one person is in one audience."""
        audience_id = parse_audience_name(request.audience, "audience")
        person = await self._person(request.who, request.consistency)
        await self._settle(request.consistency)
        membership = await self._audiences.membership(audience_id, person)
        return pb.GetMembershipResponse(membership=wire.render_membership(membership))

    async def ListMembers(
        self, request: pb.ListMembersRequest, _context: Call
    ) -> AsyncIterator[pb.ListMembersResponse]:
        """Stream the members of one audience."""
        audience_id = parse_audience_name(request.audience, "audience")
        await self._settle(request.consistency)
        people, revision = await self._audiences.members(audience_id)
        for start in range(0, max(len(people), 1), MEMBERS_A_MESSAGE):
            part = people[start : start + MEMBERS_A_MESSAGE]
            yield pb.ListMembersResponse(profile_ids=part, revision=revision)

    async def WatchTransitions(
        self, request: pb.WatchTransitionsRequest, _context: Call
    ) -> AsyncIterator[pb.WatchTransitionsResponse]:
        """Stream entries and exits as they happen."""
        wanted = frozenset(parse_audience_name(name, "audiences") for name in request.audiences)
        if wanted:
            await self._settle(consistency_pb2.Consistency(latest=True))
            self._audiences.check_known(wanted)
        stream = self._watcher.watch(wanted, request.resume_token, from_start=request.from_start)
        async for told in stream:
            transitions = [wire.render_transition(one, person) for one, person in told.transitions]
            yield pb.WatchTransitionsResponse(transitions=transitions, resume_token=told.token)

    async def Explain(self, request: pb.ExplainRequest, _context: Call) -> pb.ExplainResponse:
        """Explain one membership."""
        audience_id = parse_audience_name(request.audience, "audience")
        person = await self._person(request.who, request.consistency)
        await self._settle(request.consistency)
        found = await self._audiences.explain(audience_id, person)
        return render_explanation(found)

    async def _settle(self, consistency: consistency_pb2.Consistency) -> None:
        await settle(consistency, self._freshness, self._latest)

    async def _person(self, who: identity_pb2.Who, consistency: consistency_pb2.Consistency) -> int:
        """Return the profile id of `who`; raises NotFound where nobody has the identifier."""
        match who.WhichOneof("person"):
            case "profile_id":
                return who.profile_id
            case "identity":
                await check_token(consistency, self._freshness, self._latest)
                found = await self._identities.resolve(who.identity, consistency)
                if not found:
                    raise NotFound("PROFILE_NOT_FOUND", "who: no profile has that identifier")
                return found
            case _:
                raise invalid_field("who", "nobody", "an identity or a profile_id")
