"""The gRPC face of segmentation: parse, call, render."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
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
from services.segmentation import parsing, rendering, wire
from services.segmentation.app import Audiences
from services.segmentation.changing import Changes
from services.segmentation.explanation import render_explanation
from services.segmentation.memory import MemoryUse
from services.segmentation.peers import Identities
from services.segmentation.previewing import Preview, Previews
from services.segmentation.publishing import Publications
from services.segmentation.reading import Reads
from services.segmentation.watch import Watcher

Call = aio.ServicerContext[Any, Any]
LATEST = consistency_pb2.Consistency(latest=True)


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the service can do."""

    audiences: Audiences
    changes: Changes
    publications: Publications
    reads: Reads
    previews: Previews
    memory: MemoryUse
    watcher: Watcher


class SegmentationApi(rpc.SegmentationServiceServicer):
    """Serves `coterie.segmentation.v1.SegmentationService`."""

    def __init__(
        self,
        use_cases: UseCases,
        identities: Identities,
        freshness: Freshness,
        latest: Callable[[], int],
    ) -> None:
        self._audiences = use_cases.audiences
        self._changes = use_cases.changes
        self._publications = use_cases.publications
        self._reads = use_cases.reads
        self._previews = use_cases.previews
        self._memory = use_cases.memory
        self._watcher = use_cases.watcher
        self._identities = identities
        self._freshness = freshness
        self._latest = latest

    async def CreateAudience(
        self, request: pb.CreateAudienceRequest, _context: Call
    ) -> pb.CreateAudienceResponse:
        """Save an audience."""
        new = wire.parse_new(request)
        await self._settle(LATEST)
        audience, position = await self._audiences.create(new)
        return pb.CreateAudienceResponse(
            audience=rendering.audience(audience), revision=format_revision(position)
        )

    async def UpdateAudience(
        self, request: pb.UpdateAudienceRequest, _context: Call
    ) -> pb.UpdateAudienceResponse:
        """Propose the next version."""
        change = parsing.change(request)
        await self._settle(LATEST)
        audience, position = await self._changes.update(change)
        return pb.UpdateAudienceResponse(
            audience=rendering.audience(audience), revision=format_revision(position)
        )

    async def ActivateAudience(
        self, request: pb.ActivateAudienceRequest, _context: Call
    ) -> pb.ActivateAudienceResponse:
        """Make the version that is ready live."""
        audience_id = parse_audience_name(request.name, "name")
        if not request.version:
            raise invalid_field("version", "0", "the version that goes live")
        await self._settle(LATEST)
        audience, position = await self._changes.activate(audience_id, request.version)
        return pb.ActivateAudienceResponse(
            audience=rendering.audience(audience), revision=format_revision(position)
        )

    async def RollBackAudience(
        self, request: pb.RollBackAudienceRequest, _context: Call
    ) -> pb.RollBackAudienceResponse:
        """Bring a former version's rule back."""
        audience_id = parse_audience_name(request.name, "name")
        request_id = parsing.request_id(request.request_id)
        await self._settle(LATEST)
        audience, position = await self._changes.roll_back(
            audience_id, request.version, request.etag, request_id
        )
        return pb.RollBackAudienceResponse(
            audience=rendering.audience(audience), revision=format_revision(position)
        )

    async def DeleteAudience(
        self, request: pb.DeleteAudienceRequest, _context: Call
    ) -> pb.DeleteAudienceResponse:
        """Remove an audience."""
        audience_id = parse_audience_name(request.name, "name")
        await self._settle(LATEST)
        position = await self._changes.delete(audience_id, request.etag)
        return pb.DeleteAudienceResponse(revision=format_revision(position))

    async def ListAudienceVersions(
        self, request: pb.ListAudienceVersionsRequest, _context: Call
    ) -> pb.ListAudienceVersionsResponse:
        """List the versions of an audience, newest first."""
        audience_id = parse_audience_name(request.parent, "parent")
        size = paging.page_size(request.page_size)
        key = paging.read_page_token(request, request.page_token)
        await self._settle(request.consistency)
        before = int(key[0]) if key else None
        found = await self._changes.versions_before(audience_id, before, size + 1)
        page = found[:size]
        response = pb.ListAudienceVersionsResponse(versions=map(rendering.version, page))
        if len(found) > size:
            last = page[-1].definition.version
            response.next_page_token = paging.issue_page_token(request, last)
        return response

    async def PublishAudience(
        self, requests: AsyncIterator[pb.PublishAudienceRequest], _context: Call
    ) -> pb.PublishAudienceResponse:
        """Take the members of an audience from outside."""
        first = await anext(aiter(requests), pb.PublishAudienceRequest())
        head = parsing.publication(first)
        await self._settle(LATEST)
        members = parsing.published(first, requests)
        audience, position, count = await self._publications.publish(head, members)
        return pb.PublishAudienceResponse(
            audience=rendering.audience(audience),
            revision=format_revision(position),
            published_count=count,
        )

    async def PreviewAudience(
        self, request: pb.PreviewAudienceRequest, _context: Call
    ) -> AsyncIterator[pb.PreviewAudienceResponse]:
        """Compute what an unsaved rule comes to."""
        wanted = parsing.preview(request)
        await self._settle(request.consistency)
        async for step in self._previews.preview(wanted):
            if isinstance(step, Preview):
                yield rendering.preview(step, request.overlap_audiences)
            else:
                yield pb.PreviewAudienceResponse(progress=step)

    async def CombineAudiences(
        self, request: pb.CombineAudiencesRequest, _context: Call
    ) -> AsyncIterator[pb.CombineAudiencesResponse]:
        """Stream who is in a set that is put together of audiences."""
        tree = parsing.set_tree(request.expression)
        roaring = parsing.is_roaring(request.format)
        await self._settle(request.consistency)
        people = await self._reads.combine(tree)
        parts = () if request.count_only else rendering.parts(people, roaring=roaring)
        sent = False
        for ids, part in parts:
            sent = True
            yield pb.CombineAudiencesResponse(
                member_count=people.count,
                profile_ids=ids,
                roaring=part,
                revision=people.revision,
            )
        if not sent:
            yield pb.CombineAudiencesResponse(member_count=people.count, revision=people.revision)

    async def GetOverlap(
        self, request: pb.GetOverlapRequest, _context: Call
    ) -> pb.GetOverlapResponse:
        """Count what each two audiences share."""
        audience_ids = parsing.audiences(request.audiences)
        await self._settle(request.consistency)
        shared, revision = await self._reads.overlap(audience_ids)
        rows = [pb.OverlapRow(shared_counts=row) for row in shared]
        return pb.GetOverlapResponse(rows=rows, revision=revision)

    async def GetAudience(
        self, request: pb.GetAudienceRequest, _context: Call
    ) -> pb.GetAudienceResponse:
        """Return one audience."""
        audience_id = parse_audience_name(request.name, "name")
        await self._settle(request.consistency)
        audience = await self._audiences.get(audience_id)
        return pb.GetAudienceResponse(audience=rendering.audience(audience))

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
        response = pb.ListAudiencesResponse(audiences=map(rendering.audience, page))
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
        return pb.GetMembershipResponse(membership=rendering.membership(membership))

    async def BatchCheckMembership(
        self, request: pb.BatchCheckMembershipRequest, _context: Call
    ) -> pb.BatchCheckMembershipResponse:
        """Tell which of some audiences each of some people is in."""
        people = parsing.people(request.profile_ids)
        audience_ids = parsing.audiences(request.audiences)
        await self._settle(request.consistency)
        found, revision = await self._reads.check(people, audience_ids)
        rows = [
            pb.ProfileMemberships(found=each is not None, audience_indexes=each) for each in found
        ]
        return pb.BatchCheckMembershipResponse(profiles=rows, revision=revision)

    async def ListMembers(
        self, request: pb.ListMembersRequest, _context: Call
    ) -> AsyncIterator[pb.ListMembersResponse]:
        """Stream the members of one audience."""
        audience_id = parse_audience_name(request.audience, "audience")
        at_ms = parsing.instant(request, "time")
        roaring = parsing.is_roaring(request.format)
        await self._settle(request.consistency)
        people = await self._reads.members(audience_id, at_ms)
        sent = False
        for ids, part in rendering.parts(people, roaring=roaring):
            sent = True
            yield pb.ListMembersResponse(
                profile_ids=ids,
                revision=people.revision,
                roaring=part,
                member_count=people.count,
            )
        if not sent:
            yield pb.ListMembersResponse(revision=people.revision)

    async def WatchTransitions(
        self, request: pb.WatchTransitionsRequest, _context: Call
    ) -> AsyncIterator[pb.WatchTransitionsResponse]:
        """Stream entries and exits as they happen."""
        wanted = frozenset(parse_audience_name(name, "audiences") for name in request.audiences)
        if wanted:
            await self._settle(LATEST)
            self._audiences.check_known(wanted)
        stream = self._watcher.watch(wanted, request.resume_token, from_start=request.from_start)
        async for told in stream:
            transitions = [rendering.transition(one, person) for one, person in told.transitions]
            yield pb.WatchTransitionsResponse(transitions=transitions, resume_token=told.token)

    async def Explain(self, request: pb.ExplainRequest, _context: Call) -> pb.ExplainResponse:
        """Explain one membership."""
        audience_id = parse_audience_name(request.audience, "audience")
        person = await self._person(request.who, request.consistency)
        await self._settle(request.consistency)
        found = await self._audiences.explain(audience_id, person)
        return render_explanation(found)

    async def GetMemory(self, request: pb.GetMemoryRequest, _context: Call) -> pb.GetMemoryResponse:
        """Tell what the state takes of memory."""
        await self._settle(request.consistency)
        return rendering.memory(await self._memory.read())

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
