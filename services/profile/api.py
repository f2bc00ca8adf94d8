"""ProfileService as callers see it: parse, call, render."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.profile.v1 import profile_service_pb2_grpc as rpc
from services.kit import paging
from services.kit.freshness import format_revision
from services.kit.rpc.interceptors import takes_bytes
from services.profile import pages, wire
from services.profile.app import Erasures, Profiles, SchemaExtensions
from services.profile.intake import Gateway
from services.profile.pipeline import pipelined

BATCHES_IN_FLIGHT = 8
"""Batches of one stream on their way to the disk: enough to keep it busy, few enough to hold."""

Call = grpc.aio.ServicerContext[Any, Any]


class ProfileApi(rpc.ProfileServiceServicer):
    """Decides nothing."""

    def __init__(
        self,
        gateway: Gateway,
        profiles: Profiles,
        erasures: Erasures,
        extensions: SchemaExtensions,
    ) -> None:
        self._gateway = gateway
        self._profiles = profiles
        self._erasures = erasures
        self._extensions = extensions

    @takes_bytes
    async def Ingest(  # type: ignore[override]  # it takes the bytes of a request
        self, request_iterator: AsyncIterator[bytes], _context: Call
    ) -> AsyncIterator[pb.IngestResponse]:
        """Answer each batch, in order, once it is on disk."""
        begin = self._gateway.take_request
        async for receipt in pipelined(request_iterator, begin, BATCHES_IN_FLIGHT):
            yield wire.ingest_response(receipt)

    @takes_bytes
    async def IngestBatch(  # type: ignore[override]  # the same; both requests have one form
        self, request: bytes, _context: Call
    ) -> pb.IngestBatchResponse:
        """Answer one batch once it is on disk."""
        receipt = await asyncio.shield(self._gateway.take_request(request))
        return wire.ingest_batch_response(receipt)

    async def Upsert(self, request: pb.UpsertRequest, _context: Call) -> pb.UpsertResponse:
        """Change attributes of one person."""
        change = pb.AttributesInput(change_id=request.change_id, change=request.change)
        revision = await self._gateway.take_one(pb.IngestInput(attributes=change))
        return pb.UpsertResponse(revision=format_revision(revision))

    async def SetConsent(
        self, request: pb.SetConsentRequest, _context: Call
    ) -> pb.SetConsentResponse:
        """Change consent of one person."""
        change = pb.ConsentInput(change_id=request.change_id, change=request.change)
        revision = await self._gateway.take_one(pb.IngestInput(consent=change))
        return pb.SetConsentResponse(revision=format_revision(revision))

    async def GetProfile(
        self, request: pb.GetProfileRequest, _context: Call
    ) -> pb.GetProfileResponse:
        """Return one profile."""
        found = await self._profiles.find(request.who, request.consistency)
        return pb.GetProfileResponse(profile=wire.profile(found))

    async def EraseProfile(
        self, request: pb.EraseProfileRequest, _context: Call
    ) -> pb.EraseProfileResponse:
        """Erase a person."""
        revision, profile_id = await self._erasures.erase(request.who, request.request_id)
        return pb.EraseProfileResponse(revision=format_revision(revision), profile_id=profile_id)

    async def ListEvents(
        self, request: pb.ListEventsRequest, _context: Call
    ) -> pb.ListEventsResponse:
        """Return one page of a timeline."""
        pages.check_types(request.types)
        size = paging.page_size(request.page_size)
        start = pages.page_start(request)
        found = await self._profiles.list_events(
            request.who, request.consistency, request.types, start, size + 1
        )
        return pb.ListEventsResponse(
            events=[wire.timeline_event(one) for one in found[:size]],
            next_page_token=pages.next_token(request, found, size),
        )

    async def GetSchema(self, request: pb.GetSchemaRequest, _context: Call) -> pb.GetSchemaResponse:
        """Return what rules may speak of."""
        return pb.GetSchemaResponse(schema=await self._profiles.schema(request.consistency))

    async def ExtendSchema(
        self, request: pb.ExtendSchemaRequest, _context: Call
    ) -> pb.ExtendSchemaResponse:
        """Add fields and event types."""
        revision = await self._extensions.extend(request.schema)
        return pb.ExtendSchemaResponse(revision=format_revision(revision))
