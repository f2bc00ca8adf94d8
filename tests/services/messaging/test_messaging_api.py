"""MessagingService over gRPC: templates, suppressions, and what it refuses."""

from __future__ import annotations

import asyncio
import uuid
from datetime import date
from pathlib import Path
from typing import Any

from messaging_shop import (
    CODE,
    PHONE,
    SMS,
    agree,
    greet,
    messages,
    play,
    publication,
    refusal,
)

from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.messaging.v1 import template_pb2
from coterie.type.v1 import event_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from tests.mailbox import HttpMailbox
from tests.pipeline.harness import LATEST, NOON, SECOND, App, event, who


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


def test_a_template_shows_dates_and_lists(data_dir: Path) -> None:
    async def story(app: App, mailbox: HttpMailbox) -> None:
        values = {"birth_date": date(1992, 2, 29), "tags": ("sale", "shoes")}
        await app.attributes("crm:beth", NOON, **values)
        ask = pb.RenderTemplateRequest(
            who=who("crm:beth"),
            trigger=event_pb2.Event(event_id="e1", type="purchase"),
            consistency=LATEST,
            template=template_pb2.Template(
                text="{{ profile.tags }} {{ profile.birth_date | date: '%d.%m.' }}"
            ),
        )
        assert (await app.client.messaging.RenderTemplate(ask)).content.text == "sale, shoes 29.02."
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
