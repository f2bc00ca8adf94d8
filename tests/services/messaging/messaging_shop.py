"""A shop on a virtual clock, with a journey that greets whoever visits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as journey_pb
from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.messaging.v1 import template_pb2
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import change_pb2, schema_pb2, value_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from tests.mailbox import HttpMailbox, open_http_mailbox
from tests.pipeline.harness import LATEST, NOON, App, identity, running, stamp

CODE = grpc.StatusCode
SMS = change_pb2.CHANNEL_SMS
PHONE = "+0123456789+171101"
SCHEMA = schema_pb2.Schema(
    attributes=[
        schema_pb2.FieldSchema(name="first_name", kind=value_pb2.VALUE_KIND_TEXT),
        schema_pb2.FieldSchema(name="phone", kind=value_pb2.VALUE_KIND_TEXT),
        schema_pb2.FieldSchema(name="birth_date", kind=value_pb2.VALUE_KIND_DATE),
        schema_pb2.FieldSchema(name="tags", kind=value_pb2.VALUE_KIND_TEXTS),
    ]
)
Story = Callable[[App, HttpMailbox], Coroutine[Any, Any, None]]


def play(directory: Path, story: Story, **settings: Any) -> None:
    async def run() -> None:
        async with shop(directory, **settings) as (app, mailbox):
            await story(app, mailbox)

    asyncio.run(run())


@asynccontextmanager
async def shop(directory: Path, **settings: Any) -> AsyncIterator[tuple[App, HttpMailbox]]:
    async with open_http_mailbox() as mailbox:
        providers = {"sms": mailbox.url}
        async with running(directory, providers=providers, **settings) as app:
            extension = profile_pb.ExtendSchemaRequest(schema=SCHEMA)
            answer = await app.client.profile.ExtendSchema(extension)
            await app.client.wait_progress(answer.revision)
            yield app, mailbox


def publication(text: str, template_id: str = "hello", **fields: Any) -> pb.PublishTemplateRequest:
    request_id = fields.pop("request_id", "")
    template = template_pb2.Template(text=text, **fields)
    return pb.PublishTemplateRequest(
        template_id=template_id, template=template, request_id=request_id
    )


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str]:
    """Return code, reason and text of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    metadata: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return error.code(), info.reason, error.details() or ""


async def greet(app: App, person: str = "crm:beth", **values: Any) -> None:
    """Let a person register, and a journey send to whoever visits."""
    await app.client.messaging.PublishTemplate(publication("Hey {{ profile.first_name }}"))
    send = journey_pb2.Send(
        campaign="welcome", channels=[type_pb2.SEND_CHANNEL_SMS], template="templates/hello"
    )
    journey = journey_pb2.Journey(
        entry=journey_pb2.Entry(rows='events("store_entry")'),
        steps=[journey_pb2.Step(id="greet", send=send)],
    )
    request = journey_pb.PublishJourneyRequest(journey_id="welcome", journey=journey)
    await app.client.journey.PublishJourney(request)
    await app.attributes(person, NOON, **(values or {"phone": PHONE, "first_name": "Beth"}))


async def agree(app: App, person: str = "crm:beth") -> None:
    consent = change_pb2.ChannelConsent(channel=SMS, status=change_pb2.CONSENT_STATUS_IN)
    change = change_pb2.ConsentChange(identities=[identity(person)], consents=[consent])
    wrapped = profile_pb.ConsentInput(change=change)
    await app.send(profile_pb.IngestInput(consent=wrapped, received_time=stamp(NOON)))


async def messages(app: App, **asked: Any) -> list[Any]:
    request = pb.ListMessagesRequest(consistency=LATEST, **asked)
    return list((await app.client.messaging.ListMessages(request)).messages)
