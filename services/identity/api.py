"""The gRPC face of identity, and of the log's clock: parse, call, render."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from grpc import aio

from coterie.identity.v1 import identity_service_pb2 as pb
from coterie.identity.v1 import identity_service_pb2_grpc as rpc
from coterie.rpc.v1 import clock_service_pb2, clock_service_pb2_grpc, consistency_pb2
from services.identity import wire
from services.identity.app import Links, LogClock, People
from services.kit.freshness import Freshness, format_revision, settle

Call = aio.ServicerContext[Any, Any]


class IdentityApi(rpc.IdentityServiceServicer):
    """Serves `coterie.identity.v1.IdentityService`."""

    def __init__(
        self,
        people: People,
        links: Links,
        freshness: Freshness,
        latest: Callable[[], int],
        traceparent: Callable[[], str],
    ) -> None:
        self._people = people
        self._links = links
        self._freshness = freshness
        self._latest = latest
        self._traceparent = traceparent

    async def Resolve(self, request: pb.ResolveRequest, _context: Call) -> pb.ResolveResponse:
        """Return the profile of each identifier."""
        identifiers = wire.parse_resolve(request)
        await self._settle(request.consistency)
        return pb.ResolveResponse(profile_ids=self._people.resolve(identifiers))

    async def Link(self, request: pb.LinkRequest, _context: Call) -> pb.LinkResponse:
        """Say that identifiers belong to one person."""
        identifiers, request_id = wire.parse_link(request)
        position = await self._links.link(identifiers, request_id, self._traceparent())
        return pb.LinkResponse(revision=format_revision(position))

    async def Unlink(self, request: pb.UnlinkRequest, _context: Call) -> pb.UnlinkResponse:
        """Say that identifiers do not belong to the person who has them."""
        identifiers, request_id = wire.parse_unlink(request)
        await self._freshness.wait_for(await asyncio.to_thread(self._latest))
        position = await self._links.unlink(identifiers, request_id, self._traceparent())
        return pb.UnlinkResponse(revision=format_revision(position))

    async def GetGraph(self, request: pb.GetGraphRequest, _context: Call) -> pb.GetGraphResponse:
        """Return one profile's identifiers and journal."""
        who = wire.parse_who(request.who)
        await self._settle(request.consistency)
        view = await self._people.graph(who)
        return wire.render_graph(view.profile_id, view.identifiers, view.journal)

    async def _settle(self, consistency: consistency_pb2.Consistency) -> None:
        await settle(consistency, self._freshness, self._latest)


class ClockApi(clock_service_pb2_grpc.ClockServiceServicer):
    """Serves `coterie.rpc.v1.ClockService`."""

    def __init__(self, clock: LogClock) -> None:
        self._clock = clock

    async def Tick(
        self, request: clock_service_pb2.TickRequest, _context: Call
    ) -> clock_service_pb2.TickResponse:
        """Append a tick."""
        position = await self._clock.tick(wire.parse_tick(request))
        return clock_service_pb2.TickResponse(revision=format_revision(position))
