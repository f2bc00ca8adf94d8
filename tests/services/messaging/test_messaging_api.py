"""MessagingService over gRPC, among the other services, on a virtual clock."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as journey_pb
from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.messaging.v1 import template_pb2
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import change_pb2, event_pb2, schema_pb2, value_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from tests.mailbox import HttpMailbox, open_http_mailbox
from tests.pipeline.harness import LATEST, NOON, SECOND, App, event, identity, running, stamp, who

CODE = grpc.StatusCode
SMS = change_pb2.CHANNEL_SMS
PHONE = "+0123456789+171101"
SCHEMA = schema_pb2.Schema(
    attributes=[
        schema_pb2.FieldSchema(name="first_name", kind=value_pb2.VALUE_KIND_TEXT),
        schema_pb2.FieldSchema(name="phone", kind=value_pb2.VALUE_KIND_TEXT),
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


@pytest.mark.parametrize("partitions", [1, 4])
def test_from_an_event_to_the_provider_and_back(data_dir: Path, partitions: int) -> None:
    async def story(app: App, mailbox: HttpMailbox) -> None:
        await greet(app)
        await agree(app)
        await app.send(event("v1", "store_entry", "crm:beth", received=NOON + SECOND))
        await app.client.advance(NOON + 2 * SECOND)
        (request,) = mailbox.requests
        assert request.body["text"] == "Hey Beth"
        assert request.body["to"] == PHONE
        (message,) = await messages(app, who=who("crm:beth"))
        assert message.state == type_pb2.MESSAGE_STATE_SENT
        assert message.journey == "journeys/welcome/versions/1"
        assert message.template_version == 1
        assert message.send_time.ToMilliseconds() == NOON + SECOND
        get = pb.GetMessageRequest(name=message.name, consistency=LATEST)
        assert (await app.client.messaging.GetMessage(get)).message == message
        instances = await app.client.journey.ListInstances(
            journey_pb.ListInstancesRequest(consistency=LATEST)
        )
        assert instances.instances[0].end_reason == journey_pb2.END_REASON_COMPLETED
        assert (await app.client.progress())[0].in_flight == 0

    play(data_dir, story, partitions=partitions)


def test_messages_are_found_by_person_campaign_and_state_page_by_page(data_dir: Path) -> None:
    async def story(app: App, mailbox: HttpMailbox) -> None:
        await greet(app)
        await greet(app, "crm:ann", first_name="Ann")
        await agree(app)
        for number in range(5):
            at = NOON + (number + 1) * SECOND
            await app.send(event(f"b{number}", "store_entry", "crm:beth", received=at))
            await app.send(event(f"a{number}", "store_entry", "crm:ann", received=at))
            await app.client.advance(at)
        sent, discarded = type_pb2.MESSAGE_STATE_SENT, type_pb2.MESSAGE_STATE_DISCARDED
        assert len(await messages(app, state=sent)) == 5
        of_ann = await messages(app, who=who("crm:ann"))
        assert {(each.state, each.reason) for each in of_ann} == {(discarded, "no_address")}
        assert of_ann[0].checks[0].verdict == "no_address"
        assert len(await messages(app, campaign="welcome")) == 10
        assert await messages(app, campaign="other") == []
        found: list[Any] = []
        token = ""
        while True:
            request = pb.ListMessagesRequest(page_size=3, page_token=token)
            page = await app.client.messaging.ListMessages(request)
            found += page.messages
            token = page.next_page_token
            if not token:
                break
        assert found == await messages(app)
        times = [each.intend_time.ToMilliseconds() for each in found]
        assert times == sorted(times, reverse=True)
        assert len(mailbox.requests) == 5

    play(data_dir, story)


def test_a_template_goes_live_version_by_version(data_dir: Path) -> None:
    async def story(app: App, _mailbox: HttpMailbox) -> None:
        stub = app.client.messaging
        await app.client.tick(NOON)
        first = await stub.PublishTemplate(publication("one", display_name="Hello"))
        assert (first.template.name, first.template.version) == ("templates/hello", 1)
        assert first.template.publish_time.ToMilliseconds() == NOON
        second = await stub.PublishTemplate(publication("two"))
        assert second.template.version == 2
        assert int(second.revision) > int(first.revision)
        got = await stub.GetTemplate(pb.GetTemplateRequest(name="templates/hello"))
        assert got.template == second.template
        await stub.PublishTemplate(publication("x", "another"))
        page = await stub.ListTemplates(pb.ListTemplatesRequest(page_size=1))
        assert [each.name for each in page.templates] == ["templates/another"]
        rest = await stub.ListTemplates(
            pb.ListTemplatesRequest(page_size=1, page_token=page.next_page_token)
        )
        assert [each.text for each in rest.templates] == ["two"]
        assert not rest.next_page_token

    play(data_dir, story)


def test_a_request_that_comes_again_gets_the_first_answer_again(data_dir: Path) -> None:
    async def story(app: App, _mailbox: HttpMailbox) -> None:
        stub = app.client.messaging
        request_id = str(uuid.uuid5(uuid.NAMESPACE_URL, "once"))
        first = await stub.PublishTemplate(publication("one", request_id=request_id))
        await stub.PublishTemplate(publication("two"))
        again = await stub.PublishTemplate(publication("one", request_id=request_id.upper()))
        assert again == first
        other = publication("three", request_id=request_id)
        code, reason, _ = await refusal(stub.PublishTemplate(other))
        assert (code, reason) == (CODE.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
        calls: list[Any] = [stub.PublishTemplate(publication("four", "b")) for _ in range(5)]
        answers = await asyncio.gather(*calls)
        assert sorted(each.template.version for each in answers) == [1, 2, 3, 4, 5]

    play(data_dir, story)


def test_a_wrong_template_is_refused_with_its_place(data_dir: Path) -> None:
    async def story(app: App, _mailbox: HttpMailbox) -> None:
        stub = app.client.messaging
        email = template_pb2.EmailContent
        push = template_pb2.PushContent
        wrong = [
            (publication("a\n{{ profile.frist_name }}"), "text, line 2"),
            (publication("a\n{% if x"), "text, line 2"),
            (publication("{{ 'a' | nosuch }}"), "text, line 1"),
            (publication("a", sms_text="{{ trigger.nothing }}"), "sms_text, line 1"),
            (publication("a", email=email(html="<p>\n\n{{ nobody }}")), "email.html, line 3"),
            (publication("a", push=push(title="{{ items[0].nmae }}")), "push.title, line 1"),
        ]
        for request, place in wrong:
            code, reason, text = await refusal(stub.PublishTemplate(request))
            assert (code, reason) == (CODE.INVALID_ARGUMENT, "INVALID_DEFINITION"), text
            assert place in text
        for request, field in [
            (publication(""), "template.text"),
            (publication("x" * 20_001), "template.text"),
            (publication("a", email=email(subject="a\nb")), "template.email.subject"),
            (publication("a", display_name="x" * 257), "template.display_name"),
            (publication("a", "Not An Id"), "template_id"),
            (publication("a", request_id="no"), "request_id"),
        ]:
            code, reason, text = await refusal(stub.PublishTemplate(request))
            assert (code, reason) == (CODE.INVALID_ARGUMENT, "INVALID_FIELD"), text
            assert text.startswith(field)
        assert not (await stub.ListTemplates(pb.ListTemplatesRequest())).templates

    play(data_dir, story)


def test_a_template_shows_what_it_says_to_a_person(data_dir: Path) -> None:
    async def story(app: App, mailbox: HttpMailbox) -> None:
        stub = app.client.messaging
        await greet(app)
        trigger = event_pb2.Event(event_id="e1", type="purchase")
        trigger.properties["total"].number = 215
        ask = pb.RenderTemplateRequest(
            who=who("crm:beth"),
            trigger=trigger,
            consistency=LATEST,
            template=template_pb2.Template(
                text="{{ profile.first_name }} {{ trigger.total }}",
                email=template_pb2.EmailContent(html="<b>{{ trigger.id }}</b>"),
                display_name="Your {order}",
            ),
        )
        content = (await stub.RenderTemplate(ask)).content
        assert content.text == "Beth 215"
        assert content.html == "<b>e1</b>"
        assert content.subject == "Your {order}"
        named = pb.RenderTemplateRequest(
            who=who("crm:beth"), name="templates/hello", channel=SMS, consistency=LATEST
        )
        assert (await stub.RenderTemplate(named)).content.text == "Hey Beth"
        ask.template.text = "\n{{ 1 | divided_by: 0 }}"
        code, reason, _ = await refusal(stub.RenderTemplate(ask))
        assert (code, reason) == (CODE.FAILED_PRECONDITION, "RENDER_FAILED")
        named.name = "templates/none"
        assert (await refusal(stub.RenderTemplate(named)))[:2] == (
            CODE.NOT_FOUND,
            "TEMPLATE_NOT_FOUND",
        )
        named.who.identity.value = "nobody"
        assert (await refusal(stub.RenderTemplate(named)))[:2] == (
            CODE.NOT_FOUND,
            "PROFILE_NOT_FOUND",
        )
        assert not mailbox.requests

    play(data_dir, story)


def test_an_address_is_blocked_and_unblocked(data_dir: Path) -> None:
    async def story(app: App, mailbox: HttpMailbox) -> None:
        stub = app.client.messaging
        await greet(app)
        await agree(app)
        reason = pb.SUPPRESSION_REASON_COMPLAINED
        block = pb.SuppressRequest(channel=SMS, address=PHONE, reason=reason)
        since = (await stub.Suppress(block)).since_time
        await app.send(event("v1", "store_entry", "crm:beth", received=NOON + SECOND))
        await app.client.advance(NOON + SECOND)
        (message,) = await messages(app)
        assert (message.state, message.reason) == (type_pb2.MESSAGE_STATE_DISCARDED, "suppressed")
        assert (await stub.Suppress(block)).since_time == since
        get = pb.GetSuppressionRequest(channel=SMS, address=PHONE)
        found = await stub.GetSuppression(get)
        assert (found.since_time, found.reason) == (since, reason)
        unblock = pb.UnsuppressRequest(channel=SMS, address=PHONE)
        assert (await stub.Unsuppress(unblock)).was_suppressed
        assert not (await stub.Unsuppress(unblock)).was_suppressed
        assert (await refusal(stub.GetSuppression(get)))[:2] == (
            CODE.NOT_FOUND,
            "SUPPRESSION_NOT_FOUND",
        )
        await app.send(event("v2", "store_entry", "crm:beth", received=NOON + 3 * SECOND))
        await app.client.advance(NOON + 3 * SECOND)
        assert len(mailbox.requests) == 1
        for wrong in (
            pb.SuppressRequest(channel=SMS, address="call me", reason=reason),
            pb.SuppressRequest(address=PHONE, reason=reason),
            pb.SuppressRequest(channel=SMS, address=PHONE),
        ):
            code, told, text = await refusal(stub.Suppress(wrong))
            assert (code, told) == (CODE.INVALID_ARGUMENT, "INVALID_FIELD")
            assert "call me" not in text

    play(data_dir, story)


def test_what_is_not_there_is_said_so(data_dir: Path) -> None:
    async def story(app: App, _mailbox: HttpMailbox) -> None:
        stub = app.client.messaging
        strange = pb.ListMessagesRequest()
        strange.state = 99  # type: ignore[assignment]
        missing = f"messages/{uuid.uuid5(uuid.NAMESPACE_URL, 'x')}"
        for call, expected in [
            (stub.GetMessage(pb.GetMessageRequest(name=missing)), "MESSAGE_NOT_FOUND"),
            (stub.GetMessage(pb.GetMessageRequest(name="messages/1")), "INVALID_FIELD"),
            (stub.GetTemplate(pb.GetTemplateRequest(name="templates/x")), "TEMPLATE_NOT_FOUND"),
            (stub.GetTemplate(pb.GetTemplateRequest(name="x")), "INVALID_FIELD"),
            (stub.ListMessages(strange), "INVALID_FIELD"),
            (stub.ListMessages(pb.ListMessagesRequest(page_size=-1)), "INVALID_FIELD"),
            (stub.ListMessages(pb.ListMessagesRequest(page_token="x")), "INVALID_TOKEN"),  # noqa: S106
            (stub.ListMessages(pb.ListMessagesRequest(who=who("crm:no"))), "PROFILE_NOT_FOUND"),
            (stub.RenderTemplate(pb.RenderTemplateRequest(who=who("crm:no"))), "INVALID_FIELD"),
        ]:
            assert (await refusal(call))[1] == expected

    play(data_dir, story)


def test_one_trace_goes_from_the_ingest_call_to_the_provider_call(data_dir: Path) -> None:
    exporter = InMemorySpanExporter()

    async def story(app: App, mailbox: HttpMailbox) -> None:
        await greet(app)
        await agree(app)
        exporter.clear()
        await app.send(event("v1", "store_entry", "crm:beth", received=NOON + SECOND))
        await app.client.advance(NOON + 2 * SECOND)
        assert len(mailbox.requests) == 1

    play(data_dir, story, exporter=exporter, sample_ratio=1.0)
    spans = exporter.get_finished_spans()
    names: dict[int, set[str]] = {}
    for span in spans:
        names.setdefault(span.context.trace_id, set()).add(span.name)
    whole = [
        found
        for found in names.values()
        if {"coterie.profile.v1.ProfileService/IngestBatch", "messaging.send"} <= found
    ]
    assert len(whole) == 1, names
    assert "messaging.decide" in whole[0]


def lose(data_dir: Path) -> None:
    for file in data_dir.glob("messaging.db*"):
        file.unlink()


def test_tables_that_are_lost_come_back_from_the_log_and_nothing_is_sent_again(
    data_dir: Path,
) -> None:
    async def story() -> None:
        async with open_http_mailbox() as mailbox:
            providers = {"sms": mailbox.url}
            async with running(data_dir, providers=providers) as app:
                extension = profile_pb.ExtendSchemaRequest(schema=SCHEMA)
                await app.client.profile.ExtendSchema(extension)
                await greet(app)
                await agree(app)
                await app.send(event("v1", "store_entry", "crm:beth", received=NOON + SECOND))
                await app.client.advance(NOON + 2 * SECOND)
                (before,) = await messages(app)
            lose(data_dir)
            async with running(data_dir, providers=providers) as app:
                await app.client.advance(NOON + 3 * SECOND)
                (after,) = await messages(app)
                assert (after.state, after.send_time) == (before.state, before.send_time)
                assert after.profile_id == before.profile_id
                await app.send(event("v2", "store_entry", "crm:beth", received=NOON + 4 * SECOND))
                await app.client.advance(NOON + 4 * SECOND)
            assert len(mailbox.requests) == 2
            assert len(mailbox.taken) == 2

    asyncio.run(story())


def test_a_person_who_comes_from_another_partition_brings_what_waits(data_dir: Path) -> None:
    """Whoever is merged across partitions is one person to messaging too: address and consent."""

    async def story(app: App, mailbox: HttpMailbox) -> None:
        await greet(app)
        people = [f"ecid:{number}" for number in range(8)]
        for number, person in enumerate(people):
            at = NOON + (number + 1) * SECOND
            await app.send(event(f"p{number}", "product_view", person, received=at))
        await agree(app)
        await app.client.advance(NOON + 20 * SECOND)
        link = [event("l", "product_view", "crm:beth " + " ".join(people[:4]), received=NOON)]
        link[0].received_time.CopyFrom(stamp(NOON + 21 * SECOND))
        await app.send(*link)
        await app.client.advance(NOON + 30 * SECOND)
        for number, person in enumerate(people[:4]):
            at = NOON + (31 + number) * SECOND
            await app.send(event(f"v{number}", "store_entry", person, received=at))
            await app.client.advance(at)
        assert [each.body["to"] for each in mailbox.requests] == [PHONE] * 4
        assert len(await messages(app, who=who("crm:beth"))) == 4

    play(data_dir, story, partitions=4)
