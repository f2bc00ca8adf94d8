"""The profile service as callers see it, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from profile_inputs import (
    EMAIL,
    IN,
    OUT,
    T0,
    attributes,
    consent,
    event,
    identity,
    input_of,
    schema,
    stamp,
)
from profile_world import PERSONAL, World, details_of, fails, play, reason_of, send

from coterie.log.v1 import inbound_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2
from services.kit.clock import SystemClock
from services.kit.log.port import Entry
from services.kit.telemetry import Tracing

SAME = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
ADA = identity_pb2.Who(identity=identity("crm:ada"))
LATEST = consistency_pb2.Consistency(latest=True)
CODE = grpc.StatusCode


def test_what_was_sent_is_known_at_its_revision(data_dir: Path) -> None:
    async def story(world: World) -> None:
        sent = await send(
            world,
            input_of(event("e-1", properties={"total": 12.5}), received=T0 + 10),
            input_of(attributes({"loyalty.tier": "gold"}), "c-1"),
            input_of(event("e-2", who=[])),
        )
        assert (sent.revision, sent.accepted_count) == ("1", 2)
        (refused,) = sent.refused
        assert (refused.index, refused.input_id, refused.error.code) == (2, "e-2", 3)
        upsert = pb.UpsertRequest(change=attributes({"age": 31.0}), change_id="c-2")
        await world.stub.Upsert(upsert)
        said = pb.SetConsentRequest(change=consent({EMAIL: OUT}, preferred=EMAIL), change_id="c-3")
        revision = (await world.stub.SetConsent(said)).revision
        world.identity.work()
        fresh = consistency_pb2.Consistency(at_least=revision)
        request = pb.GetProfileRequest(who=ADA, consistency=fresh)
        call = asyncio.ensure_future(world.stub.GetProfile(request))
        assert not (await asyncio.wait({call}, timeout=0.05))[0]
        world.project()
        found = (await call).profile
        assert world.identity.asked == [fresh]
        assert found.event_count == 1
        assert {name: one.value for name, one in found.attributes.items()} == {
            "loyalty.tier": attributes({"x": "gold"}).attributes["x"],
            "age": attributes({"x": 31.0}).attributes["x"],
        }
        assert found.attributes["age"].change_id == "c-2"
        assert found.attributes["age"].as_of_time == stamp(T0 + 10)
        assert [(one.channel, one.status) for one in found.consents] == [(EMAIL, OUT)]
        assert found.preferred_channel == EMAIL
        assert found.create_time == stamp(T0 + 10)

    play(data_dir, story)


def test_a_read_of_the_latest_waits_for_all_that_was_accepted(data_dir: Path) -> None:
    async def story(world: World) -> None:
        await send(world, input_of(event("e-1")))
        world.work()
        await send(world, input_of(event("e-2")))
        request = pb.GetProfileRequest(who=identity_pb2.Who(profile_id=1), consistency=LATEST)
        call = asyncio.ensure_future(world.stub.GetProfile(request))
        assert not (await asyncio.wait({call}, timeout=0.05))[0]
        now = await world.stub.GetProfile(pb.GetProfileRequest(who=ADA))
        assert now.profile.event_count == 1
        world.work()
        assert (await call).profile.event_count == 2

    play(data_dir, story)


def test_who_is_not_known_is_not_found(data_dir: Path) -> None:
    async def story(world: World) -> None:
        get = world.stub.GetProfile
        nobody = (CODE.NOT_FOUND, "PROFILE_NOT_FOUND")
        for who in (
            identity_pb2.Who(identity=identity(f"email:{PERSONAL}")),
            identity_pb2.Who(profile_id=77),
            identity_pb2.Who(profile_id=0),
            identity_pb2.Who(profile_id=2**64 - 1),
        ):
            assert await fails(get(pb.GetProfileRequest(who=who))) == nobody
            assert await fails(world.stub.ListEvents(pb.ListEventsRequest(who=who))) == nobody
        wrong = (CODE.INVALID_ARGUMENT, "INVALID_FIELD")
        assert await fails(get(pb.GetProfileRequest())) == wrong
        bad = identity_pb2.Who(identity=identity(f"E-Mail:{PERSONAL}"))
        assert await fails(get(pb.GetProfileRequest(who=bad))) == wrong
        ahead = consistency_pb2.Consistency(at_least="99")
        request = pb.GetProfileRequest(who=identity_pb2.Who(profile_id=1), consistency=ahead)
        assert await fails(get(request)) == (CODE.INVALID_ARGUMENT, "INVALID_TOKEN")

    play(data_dir, story)


def test_who_is_to_be_erased_is_named_by_number_in_the_log(data_dir: Path) -> None:
    async def story(world: World) -> None:
        await send(world, input_of(event("e-1")))
        world.work()
        erase = world.stub.EraseProfile
        answer = await erase(pb.EraseProfileRequest(who=ADA, request_id=SAME))
        assert (answer.profile_id, answer.revision) == (1, "2")
        (record,) = world.inbound.read(1, 9)
        (one,) = inbound_pb2.InboundPack.FromString(record.payload).inputs
        assert (one.erasure.profile_id, one.input_id) == (1, SAME)
        assert b"ada" not in record.payload
        for wrong, expected in (
            (pb.EraseProfileRequest(), (CODE.INVALID_ARGUMENT, "INVALID_FIELD")),
            (
                pb.EraseProfileRequest(who=ADA, request_id="no uuid"),
                (CODE.INVALID_ARGUMENT, "INVALID_FIELD"),
            ),
            (
                pb.EraseProfileRequest(
                    who=identity_pb2.Who(identity=identity(f"email:{PERSONAL}"))
                ),
                (CODE.NOT_FOUND, "PROFILE_NOT_FOUND"),
            ),
        ):
            assert await fails(erase(wrong)) == expected
        assert world.inbound.last_seq() == 2

    play(data_dir, story)


def test_a_timeline_comes_in_pages_bound_to_their_query(data_dir: Path) -> None:
    async def story(world: World) -> None:
        made = [
            event(f"e-{n}", type="view" if n % 2 else "purchase", occurred_time=stamp(T0 - n // 3))
            for n in range(20)
        ]
        await send(world, *map(input_of, made))
        world.work()
        request = pb.ListEventsRequest(who=ADA, page_size=6)
        pages: list[list[str]] = []
        while True:
            answer = await world.stub.ListEvents(request)
            pages.append([one.event.event_id for one in answer.events])
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        assert [len(page) for page in pages] == [6, 6, 6, 2]
        in_order = sorted(made, key=lambda one: (one.occurred_time.nanos, one.event_id))
        in_order.sort(key=lambda one: one.occurred_time.ToMilliseconds())
        expected = [one.event_id for one in reversed(in_order)]
        assert [event_id for page in pages for event_id in page] == expected
        views = pb.ListEventsRequest(who=ADA, types=["view"], page_size=10)
        answer = await world.stub.ListEvents(views)
        assert {one.event.type for one in answer.events} == {"view"}
        assert (len(answer.events), answer.next_page_token) == (10, "")
        assert answer.events[0].received_time == stamp(T0)
        token = (CODE.INVALID_ARGUMENT, "INVALID_TOKEN")
        views.page_token = request.page_token
        assert await fails(world.stub.ListEvents(views)) == token
        negative = pb.ListEventsRequest(who=ADA, page_size=-1)
        assert (await fails(world.stub.ListEvents(negative)))[1] == "INVALID_FIELD"

    play(data_dir, story)


def test_a_stream_answers_each_batch_in_order(data_dir: Path) -> None:
    async def story(world: World) -> None:
        async def batches() -> AsyncIterator[pb.IngestRequest]:
            for n in range(50):
                yield pb.IngestRequest(
                    inputs=[input_of(event(f"e-{n}-{i}")) for i in range(n % 3 + 1)]
                )

        answers = [answer async for answer in world.stub.Ingest(batches())]
        assert [one.accepted_count for one in answers] == [n % 3 + 1 for n in range(50)]
        records = world.inbound.read(0, 100)
        packs = {one.seq: inbound_pb2.InboundPack.FromString(one.payload) for one in records}
        ids = [each.input_id for pack in packs.values() for each in pack.inputs]
        assert ids == [f"e-{n}-{i}" for n in range(50) for i in range(n % 3 + 1)]
        for n, answer in enumerate(answers):  # batches may share a record: each finds its own there
            assert f"e-{n}-0" in {each.input_id for each in packs[int(answer.revision)].inputs}

    play(data_dir, story)


def test_a_stream_answers_what_came_before_a_batch_that_is_too_large(data_dir: Path) -> None:
    async def story(world: World) -> None:
        async def batches() -> AsyncIterator[pb.IngestRequest]:
            yield pb.IngestRequest(inputs=[input_of(event("e-1"))])
            yield pb.IngestRequest(inputs=[input_of(event(f"x-{n}")) for n in range(1001)])
            yield pb.IngestRequest(inputs=[input_of(event("e-2"))])

        answers = []

        async def read() -> None:
            async for answer in world.stub.Ingest(batches()):
                answers.append(answer.revision)  # noqa: PERF401  # kept when the stream fails

        assert await fails(read()) == (CODE.INVALID_ARGUMENT, "TOO_MANY")
        assert answers == ["1"]
        assert world.inbound.last_seq() == 1

    play(data_dir, story)


def test_a_stream_whose_caller_leaves_keeps_what_was_sent(data_dir: Path) -> None:
    async def story(world: World) -> None:
        call: Any = world.stub.Ingest  # the stubs know no call without an iterator
        call = call()
        await call.write(pb.IngestRequest(inputs=[input_of(event("e-1"))]))
        assert (await call.read()).revision == "1"
        call.cancel()
        assert (await send(world, input_of(event("e-2")))).revision == "2"

    play(data_dir, story)


def test_a_full_backlog_refuses_events_and_takes_consent(data_dir: Path) -> None:
    async def story(world: World) -> None:
        for n in range(3):
            await send(world, input_of(event(f"e-{n}")))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(world, input_of(event("e-3")))
        assert reason_of(caught.value) == (CODE.RESOURCE_EXHAUSTED, "BACKLOG_FULL")
        assert any(
            one.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for one in details_of(caught.value)
        )
        upsert = world.stub.Upsert(pb.UpsertRequest(change=attributes({"a": True})))
        assert (await fails(upsert))[1] == "BACKLOG_FULL"
        said = pb.SetConsentRequest(change=consent({EMAIL: IN}))
        assert (await world.stub.SetConsent(said)).revision == "4"
        world.work()
        assert (await send(world, input_of(event("e-3")))).revision == "5"

    play(data_dir, story, backlog=2)


def test_the_schema_grows_and_intake_keeps_to_it_at_once(data_dir: Path) -> None:
    text, number = 1, 2

    async def story(world: World) -> None:
        assert not (await world.stub.GetSchema(pb.GetSchemaRequest())).schema.attributes
        first = schema({"age": number}, {"purchase": {"total": number}})
        extend = world.stub.ExtendSchema
        assert (await extend(pb.ExtendSchemaRequest(schema=first))).revision == "1"
        refused = await send(
            world,
            input_of(event("e-1", properties={"total": PERSONAL})),
            input_of(attributes({"age": PERSONAL})),
        )
        assert {one.error.code for one in refused.refused} == {3}
        assert dict(refused.refused[0].error.metadata) == {
            "field": "event.properties[total]",
            "declared": "number",
            "found": "text",
        }
        conflict = pb.ExtendSchemaRequest(schema=schema({"age": text}))
        assert await fails(extend(conflict)) == (CODE.INVALID_ARGUMENT, "SCHEMA_CONFLICT")
        empty = (CODE.INVALID_ARGUMENT, "INVALID_FIELD")
        assert await fails(extend(pb.ExtendSchemaRequest())) == empty
        again = schema({"age": number, "tier": text})
        revision = (await extend(pb.ExtendSchemaRequest(schema=again))).revision
        world.work()
        fresh = consistency_pb2.Consistency(at_least=revision)
        found = (await world.stub.GetSchema(pb.GetSchemaRequest(consistency=fresh))).schema
        assert [one.name for one in found.attributes] == ["age", "tier"]
        assert found.event_types == first.event_types

    play(data_dir, story)


def test_extensions_at_one_moment_are_checked_one_after_the_other(data_dir: Path) -> None:
    async def story(world: World) -> None:
        calls = [
            world.stub.ExtendSchema(pb.ExtendSchemaRequest(schema=schema({"age": kind})))
            for kind in (1, 2, 3, 4)
        ]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(one, grpc.aio.AioRpcError) for one in done) == 3
        assert world.inbound.last_seq() == 1

    play(data_dir, story)


def test_a_restart_goes_on_where_the_log_ended(data_dir: Path) -> None:
    async def before(world: World) -> None:
        await world.stub.ExtendSchema(pb.ExtendSchemaRequest(schema=schema({"age": 2})))
        await send(world, input_of(event("e-1"), received=T0 + 5000))
        world.work()

    async def after(world: World) -> None:
        assert world.clock.now_ms() == T0 + 5000
        sent = await send(
            world,
            input_of(event("e-2"), received=T0 + 1),
            input_of(attributes({"age": "x"})),
        )
        assert [one.error.reason for one in sent.refused] == [12]
        last = world.inbound.last()
        assert last is not None
        (kept,) = inbound_pb2.InboundPack.FromString(last.payload).inputs
        assert kept.received_ms == T0 + 5000
        at_once = await world.stub.GetProfile(
            pb.GetProfileRequest(
                who=identity_pb2.Who(profile_id=1),
                consistency=consistency_pb2.Consistency(at_least="2"),
            )
        )
        assert at_once.profile.event_count == 1
        (state,) = world.module.progress()
        assert (state.inbound_position, state.log_time_ms) == (2, T0 + 5000)

    play(data_dir, before)
    play(data_dir, after)


def test_a_virtual_clock_that_another_process_moves_is_followed(data_dir: Path) -> None:
    async def story(world: World) -> None:
        tick = inbound_pb2.Inbound(received_ms=T0 + 5000)
        tick.tick.SetInParent()
        world.inbound.append([Entry(inbound_pb2.InboundPack(inputs=[tick]).SerializeToString())])
        world.work()
        await send(world, input_of(attributes({"age": "x"})))
        last = world.inbound.last()
        assert last is not None
        (kept,) = inbound_pb2.InboundPack.FromString(last.payload).inputs
        assert kept.received_ms == T0 + 5000

    play(data_dir, story)


def test_the_machines_clock_stamps_and_refuses_other_stamps(data_dir: Path) -> None:
    async def story(world: World) -> None:
        before = SystemClock().now_ms()
        sent = await send(world, input_of(event("e-1")), input_of(event("e-2"), received=T0))
        assert [one.error.code for one in sent.refused] == [9]
        last = world.inbound.last()
        assert last is not None
        (kept,) = inbound_pb2.InboundPack.FromString(last.payload).inputs
        assert before <= kept.received_ms <= SystemClock().now_ms()

    play(data_dir, story, SystemClock())


def test_bytes_that_are_no_request_are_refused_as_such(data_dir: Path) -> None:
    async def story(world: World) -> None:
        path = "/coterie.profile.v1.ProfileService/IngestBatch"
        channel: Any = world.channel  # the stubs know no call of plain bytes
        raw = channel.unary_unary(path)
        malformed = (CODE.INVALID_ARGUMENT, "MALFORMED_REQUEST")
        assert await fails(raw(b"\x0a\xff\xff\xff\xff\x0f")) == malformed
        not_utf8 = b"\x0a\x07\x0a\x05\x0a\x03\xff\xfe\xfd"
        assert await fails(raw(not_utf8)) == malformed
        code, _ = await fails(raw(b"\x00" * (8 * 1024 * 1024 + 1)))
        assert code == CODE.RESOURCE_EXHAUSTED
        assert world.inbound.last() is None

    play(data_dir, story)


def test_a_sampled_call_is_followed_into_the_log_and_the_projection(data_dir: Path) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def story(world: World) -> None:
        await send(world, input_of(event("e-1")))
        world.work()
        last = world.inbound.last()
        assert last is not None
        (kept,) = inbound_pb2.InboundPack.FromString(last.payload).inputs
        (span,) = [one for one in exporter.get_finished_spans() if one.name == "profile.project"]
        assert [f"{one.context.trace_id:032x}" for one in span.links] == [
            kept.traceparent.split("-")[1]
        ]

    play(data_dir, story, tracing=Tracing(provider))
