"""A sampled event can be followed from the ingest call, over the log, to its transition."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.host.demo.definitions import Definitions
from services.host.demo.pace import Leaps
from services.host.demo.phone import Phones
from services.host.demo.run import STORY_STARTS_MS, define
from services.host.demo.story import DAYS, people, scenes
from tests.pipeline.harness import NOON, event, running


def test_one_trace_leads_from_the_ingest_call_to_the_decision_of_segmentation(
    tmp_path: Path,
) -> None:
    exporter = InMemorySpanExporter()

    async def story() -> None:
        async with running(tmp_path / "data", exporter=exporter, sample_ratio=1.0) as app:
            await app.create("buyer", 'events("purchase").exists()')
            exporter.clear()
            await app.send(event("p1", "purchase", "crm:beth", received=NOON))
            assert (await app.member("buyer", "crm:beth")).member

    asyncio.run(story())
    spans = exporter.get_finished_spans()
    ingest = next(span for span in spans if span.name.endswith("IngestBatch"))
    trace_id = ingest.get_span_context().trace_id
    followed = [span for span in spans if span.get_span_context().trace_id == trace_id]
    assert "segmentation.decide" in [span.name for span in followed]
    linked = {
        span.name for span in spans for link in span.links if link.context.trace_id == trace_id
    }
    assert {"identity.pack", "profile.project", "segmentation.apply"} <= linked
    text = " ".join(str(span.attributes) + span.name for span in spans)
    assert "beth" not in text


def test_a_story_is_two_traces_with_a_link_where_it_waited(tmp_path: Path) -> None:
    exporter = InMemorySpanExporter()
    beth, ann = people("traced")
    seen: list[tuple[str, Sequence[ReadableSpan]]] = []

    async def story(providers: dict[str, str]) -> None:
        settings = {"exporter": exporter, "sample_ratio": 1.0, "providers": providers}
        async with running(tmp_path / "data", **settings) as app:
            await define(app.client, Definitions(DAYS))
            pace = Leaps(app.client, STORY_STARTS_MS)
            for scene in scenes(DAYS, beth, ann):
                exporter.clear()
                await pace.until(scene.at_ms, nothing)
                if inputs := scene.inputs(pace.start_ms + scene.at_ms):
                    await pace.send(inputs, scene.at_ms)
                seen.append((scene.words, exporter.get_finished_spans()))

    with Phones() as phones:
        asyncio.run(story({"sms": phones.url}))
        assert len(phones.texts_to(beth.phone)) == 1
    leaving = next(spans for words, spans in seen if words.startswith("Both leave"))
    (ingest,) = [span for span in leaving if span.name.endswith("IngestBatch")]
    before = trace_of(ingest)
    entered = [span for span in leaving if span.name == "journey.step"]
    assert {trace_of(span) for span in entered} == {before}
    steps = [span for _, spans in seen for span in spans if span.name == "journey.step"]
    (continued,) = [s for s in steps if s.parent is None and before in linked_traces(s)]
    after = trace_of(continued)
    names = {span.name for _, spans in seen for span in spans if trace_of(span) == after}
    assert {"journey.step", "messaging.decide", "messaging.send"} <= names
    text = " ".join(str(span.attributes) + span.name for _, spans in seen for span in spans)
    assert "traced" not in text
    assert beth.phone not in text


async def nothing() -> None:
    """Look at nothing."""


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def linked_traces(span: ReadableSpan) -> set[int]:
    return {link.context.trace_id for link in span.links}
