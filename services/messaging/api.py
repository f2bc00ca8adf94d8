"""MessagingService as callers see it: parse, call, render."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import grpc.aio

from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.messaging.v1 import messaging_service_pb2_grpc as rpc
from coterie.messaging.v1 import template_pb2
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from services.kit import paging
from services.kit.errors import NotFound, invalid_field
from services.kit.freshness import Freshness, check_token, format_revision, settle
from services.kit.ids import parse_request_id
from services.kit.names import check_id
from services.kit.rpc.times import timestamp
from services.messaging.app import Suppressions, Templates
from services.messaging.content import Occasion
from services.messaging.domain.lanes import Lane
from services.messaging.names import parse_message_name, parse_template_name
from services.messaging.peers import IdentityPeer
from services.messaging.store import MessagingStore, Selection

PREVIEW = "preview"
"""What a message that is only looked at has for an id and a campaign."""

Call = grpc.aio.ServicerContext[Any, Any]


class Reads:
    """How fresh an answer is, and who is meant."""

    def __init__(
        self, identities: IdentityPeer, freshness: Freshness, latest: Callable[[], int]
    ) -> None:
        self._identities = identities
        self._freshness = freshness
        self._latest = latest

    async def settle(self, consistency: consistency_pb2.Consistency) -> None:
        """Return once the tables are as fresh as the call demands."""
        await settle(consistency, self._freshness, self._latest)

    async def person(self, who: identity_pb2.Who, consistency: consistency_pb2.Consistency) -> int:
        """Return the profile id of `who`; raises NotFound where nobody has the identifier."""
        match who.WhichOneof("person"):
            case "profile_id" if 0 < who.profile_id < 1 << 63:
                return who.profile_id
            case "identity":
                await check_token(consistency, self._freshness, self._latest)
                found = await self._identities.resolve(who.identity, consistency)
                if found:
                    return found
            case None:
                raise invalid_field("who", "nobody", "an identifier or a profile id")
        raise NotFound("PROFILE_NOT_FOUND", "who: there is no such profile")


class MessagingApi(rpc.MessagingServiceServicer):
    """Decides nothing."""

    def __init__(
        self, templates: Templates, suppressions: Suppressions, store: MessagingStore, reads: Reads
    ) -> None:
        self._templates = templates
        self._suppressions = suppressions
        self._store = store
        self._reads = reads

    async def PublishTemplate(
        self, request: pb.PublishTemplateRequest, _context: Call
    ) -> pb.PublishTemplateResponse:
        """Make a template live."""
        template_id = check_id(request.template_id, "template_id")
        request_id = parse_request_id(request.request_id, "request_id")
        # Once begun it is ended, whether or not the caller still waits.
        published = await asyncio.shield(
            self._templates.publish(template_id, request.template, request_id)
        )
        return pb.PublishTemplateResponse(
            template=published.template, revision=format_revision(published.inbound_seq)
        )

    async def GetTemplate(
        self, request: pb.GetTemplateRequest, _context: Call
    ) -> pb.GetTemplateResponse:
        """Return one template."""
        template_id = parse_template_name(request.name, "name")
        await self._reads.settle(request.consistency)
        found = await self._templates.get(template_id)
        return pb.GetTemplateResponse(template=found.template)

    async def ListTemplates(
        self, request: pb.ListTemplatesRequest, _context: Call
    ) -> pb.ListTemplatesResponse:
        """List templates by id."""
        size = paging.page_size(request.page_size)
        key = paging.read_page_token(request, request.page_token)
        await self._reads.settle(request.consistency)
        found = await self._templates.list_after(str(key[0]) if key else "", size + 1)
        page = found[:size]
        response = pb.ListTemplatesResponse(templates=[each.template for each in page])
        if len(found) > size:
            response.next_page_token = paging.issue_page_token(request, page[-1].template_id)
        return response

    async def RenderTemplate(
        self, request: pb.RenderTemplateRequest, _context: Call
    ) -> pb.RenderTemplateResponse:
        """Show what a template says to a person."""
        lane = _lane(request.channel, "channel") if request.channel else Lane.EMAIL
        trigger = request.trigger if request.HasField("trigger") else None
        template_id, template = "", template_pb2.Template()
        match request.WhichOneof("source"):
            case "name":
                template_id = parse_template_name(request.name, "name")
            case "template":
                template.CopyFrom(request.template)
            case _:
                raise invalid_field("source", "nothing", "a name or a template")
        person = await self._reads.person(request.who, request.consistency)
        await self._reads.settle(request.consistency)
        if template_id:
            template = (await self._templates.get(template_id)).template
        occasion = Occasion(PREVIEW, PREVIEW, lane, trigger, "")
        content = await self._templates.render(template, template_id, person, occasion)
        return pb.RenderTemplateResponse(content=content)

    async def GetMessage(
        self, request: pb.GetMessageRequest, _context: Call
    ) -> pb.GetMessageResponse:
        """Return one message."""
        message_id = parse_message_name(request.name, "name")
        await self._reads.settle(request.consistency)
        found = await asyncio.to_thread(self._store.message, message_id)
        if found is None:
            what = f"there is no message `{message_id}`"
            raise NotFound("MESSAGE_NOT_FOUND", what, {"message": message_id})
        return pb.GetMessageResponse(message=found)

    async def ListMessages(
        self, request: pb.ListMessagesRequest, _context: Call
    ) -> pb.ListMessagesResponse:
        """List messages, the latest first."""
        size = paging.page_size(request.page_size)
        before = _place(paging.read_page_token(request, request.page_token))
        if request.state not in type_pb2.MessageState.values():
            raise invalid_field("state", str(request.state), "a state of a message")
        person = None
        if request.HasField("who"):
            person = await self._reads.person(request.who, request.consistency)
        await self._reads.settle(request.consistency)
        wanted = Selection(person, request.campaign, request.state)
        found = await asyncio.to_thread(self._store.messages, wanted, before, size + 1)
        page = found[:size]
        response = pb.ListMessagesResponse(messages=page)
        if len(found) > size:
            last = page[-1]
            at_ms = last.intend_time.ToMilliseconds()
            message_id = parse_message_name(last.name, "name")
            response.next_page_token = paging.issue_page_token(request, at_ms, message_id)
        return response

    async def Suppress(self, request: pb.SuppressRequest, _context: Call) -> pb.SuppressResponse:
        """Block an address."""
        lane = _lane(request.channel, "channel")
        if not request.reason or request.reason not in pb.SuppressionReason.values():
            raise invalid_field("reason", str(int(request.reason)), "why it is suppressed")
        since_ms = await self._suppressions.suppress(lane, request.address, request.reason)
        return pb.SuppressResponse(since_time=timestamp(since_ms))

    async def Unsuppress(
        self, request: pb.UnsuppressRequest, _context: Call
    ) -> pb.UnsuppressResponse:
        """Unblock an address."""
        lane = _lane(request.channel, "channel")
        was = await self._suppressions.unsuppress(lane, request.address)
        return pb.UnsuppressResponse(was_suppressed=was)

    async def GetSuppression(
        self, request: pb.GetSuppressionRequest, _context: Call
    ) -> pb.GetSuppressionResponse:
        """Tell whether an address is blocked."""
        lane = _lane(request.channel, "channel")
        await self._reads.settle(request.consistency)
        found = await self._suppressions.get(lane, request.address)
        reason = cast("pb.SuppressionReason.ValueType", found.reason)
        return pb.GetSuppressionResponse(since_time=timestamp(found.since_ms), reason=reason)


def _lane(channel: int, field: str) -> Lane:
    if channel not in (Lane.EMAIL, Lane.SMS, Lane.PUSH):
        raise invalid_field(field, str(channel), "e-mail, SMS or push")
    return Lane(channel)


def _place(key: tuple[str | int, ...] | None) -> tuple[int, str] | None:
    if key is None:
        return None
    at_ms, message_id = key
    return int(at_ms), str(message_id)
