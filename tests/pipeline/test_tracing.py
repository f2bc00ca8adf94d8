"""A sampled event can be followed from the ingest call, over the log, to its transition."""

import asyncio
from pathlib import Path

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

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
