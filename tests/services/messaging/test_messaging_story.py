"""Messages among the other services, from an event to the provider and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from messaging_shop import (
    PHONE,
    SCHEMA,
    agree,
    greet,
    messages,
    play,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as journey_pb
from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import message_pb2 as type_pb2
from tests.mailbox import HttpMailbox, open_http_mailbox
from tests.pipeline.harness import LATEST, NOON, SECOND, App, event, running, stamp, who


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
