"""JourneyService as callers see it: parse, call, render."""

from __future__ import annotations

from typing import Any

import grpc.aio

from coterie.journey.v1 import journey_service_pb2 as pb
from coterie.journey.v1 import journey_service_pb2_grpc as rpc
from services.journey.app import Journeys
from services.journey.names import (
    parse_instance,
    parse_journey,
    parse_journey_alone,
    version_name,
)
from services.journey.publishing import NewJourney, Publisher
from services.journey.render import render_instance, render_version
from services.journey.store import Wanted
from services.kit import paging
from services.kit.errors import InvalidArgument, invalid_field
from services.kit.freshness import format_revision
from services.kit.ids import parse_request_id
from services.kit.names import check_id

PROFILE_IDS = 1 << 63

Call = grpc.aio.ServicerContext[Any, Any]


class JourneyApi(rpc.JourneyServiceServicer):
    """Decides nothing."""

    def __init__(self, publisher: Publisher, journeys: Journeys) -> None:
        self._publisher = publisher
        self._journeys = journeys

    async def PublishJourney(
        self, request: pb.PublishJourneyRequest, _context: Call
    ) -> pb.PublishJourneyResponse:
        """Check a journey, and make it live as a new version."""
        new = NewJourney(
            check_id(request.journey_id, "journey_id"),
            request.journey,
            parse_request_id(request.request_id, "request_id"),
        )
        if request.validate_only:
            journey, version = await self._publisher.check(new)
            journey.name, journey.version = version_name(new.journey_id, version), version
            return pb.PublishJourneyResponse(journey=journey)
        stored = await self._publisher.publish(new)
        return pb.PublishJourneyResponse(
            journey=render_version(stored), revision=format_revision(stored.inbound_seq)
        )

    async def GetJourney(
        self, request: pb.GetJourneyRequest, _context: Call
    ) -> pb.GetJourneyResponse:
        """Return one version, or the newest."""
        journey_id, version = parse_journey(request.name, "name")
        found = await self._journeys.get(journey_id, version, request.consistency)
        return pb.GetJourneyResponse(journey=render_version(found))

    async def ListJourneys(
        self, request: pb.ListJourneysRequest, _context: Call
    ) -> pb.ListJourneysResponse:
        """Return one page of journeys."""
        size = paging.page_size(request.page_size)
        key = paging.read_page_token(request, request.page_token)
        found = await self._journeys.list_after(
            str(key[0]) if key else "", size + 1, request.consistency
        )
        page = found[:size]
        response = pb.ListJourneysResponse(journeys=[render_version(each) for each in page])
        if len(found) > size:
            last = page[-1].publication.journey_id
            response.next_page_token = paging.issue_page_token(request, last)
        return response

    async def StopJourney(
        self, request: pb.StopJourneyRequest, _context: Call
    ) -> pb.StopJourneyResponse:
        """Let nobody enter a journey any more."""
        journey_id = parse_journey_alone(request.name, "name")
        stored, position = await self._publisher.stop(
            journey_id, end_instances=request.end_instances
        )
        return pb.StopJourneyResponse(
            journey=render_version(stored), revision=format_revision(position)
        )

    async def GetInstance(
        self, request: pb.GetInstanceRequest, _context: Call
    ) -> pb.GetInstanceResponse:
        """Return one instance."""
        journey_id, instance_id = parse_instance(request.name, "name")
        found = await self._journeys.instance(journey_id, instance_id, request.consistency)
        return pb.GetInstanceResponse(instance=render_instance(found))

    async def ListInstances(
        self, request: pb.ListInstancesRequest, _context: Call
    ) -> pb.ListInstancesResponse:
        """Return one page of instances, the latest entry first."""
        size = paging.page_size(request.page_size)
        journey_id = parse_journey_alone(request.journey, "journey") if request.journey else ""
        before = _place(paging.read_page_token(request, request.page_token))
        person = await self._journeys.person(request.who, request.consistency)
        if person is not None and person >= PROFILE_IDS:
            raise invalid_field("who.profile_id", "a greater number", "a profile id")
        wanted = Wanted(journey_id, person, request.live_only, before, size + 1)
        found = await self._journeys.instances(wanted, request.consistency)
        page = found[:size]
        response = pb.ListInstancesResponse(instances=[render_instance(each) for each in page])
        if len(found) > size:
            last = page[-1]
            response.next_page_token = paging.issue_page_token(
                request, last.entry_ms, last.instance_id
            )
        return response


def _place(key: tuple[str | int, ...] | None) -> tuple[int, str] | None:
    match key:
        case None:
            return None
        case (int(entry_ms), str(instance_id)):
            return entry_ms, instance_id
        case _:
            raise InvalidArgument(
                "INVALID_TOKEN",
                "page_token: expected the `next_page_token` of this very query, found another",
                {"field": "page_token"},
            )
