"""A step is in the trace of what causes it; a wait ends a trace, and the next one links to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from journey_stage import DAY, Input, World, by_audience, change, event, publish, send, tick, wait
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coterie.log.v1 import intents_pb2
from services.kit.telemetry import Tracing, start_tracing

START = 1_700_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Iterator[Tracing]:
    made = start_tracing("journey", None, 1.0, spans)
    yield made
    made.shutdown()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def entry(traceparent: str) -> Input:
    found = event(START + 1, 7, "exit", "e1", transitions=[change("left", 7, START + 1)])
    found.facts[0].traceparent = traceparent
    return found


def context(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def intents(world: World) -> list[intents_pb2.Intent]:
    records = world.partitions[0].intents.read(0, 100)
    packs = [intents_pb2.IntentPack.FromString(record.payload) for record in records]
    return [one for pack in packs for one in pack.intents]


def test_what_follows_a_wait_is_a_trace_of_its_own_that_links_back(
    world: World, tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    here = world.partitions[0]
    here.feed(publish(START, "nudge", by_audience("left", wait("wait", DAY), send("nudge"))))
    here.feed(entry(PARENT))
    here.work(here.start(tracing))
    here.feed(tick(START + 2 * DAY))
    here.work(here.start(tracing))
    entered, sent = spans.get_finished_spans()
    assert context(entered)[0] == TRACE
    assert sent.parent is None
    (link,) = sent.links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == context(entered)
    (intent,) = intents(world)
    trace, span = context(sent)
    assert intent.traceparent.startswith(f"00-{trace}-{span}-")


def test_what_was_not_sampled_leaves_no_span(
    world: World, tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    here = world.partitions[0]
    here.feed(publish(START, "nudge", by_audience("left", wait("wait", DAY), send("nudge"))))
    here.feed(entry(""))
    here.feed(tick(START + 2 * DAY))
    here.work(here.start(tracing))
    assert spans.get_finished_spans() == ()
    (intent,) = intents(world)
    assert intent.traceparent == ""
