"""Tracing: off unless asked for, one trace from call to call and to the stages behind the log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.kit import errors
from services.kit.clock import ManualClock
from services.kit.logs import configure_logs
from services.kit.rpc.channels import open_channel
from services.kit.rpc.server import Server
from services.kit.telemetry import MAX_LINKS, Tracing, start_tracing

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = SAMPLED[:-2] + "00"
TRACE = int("0af7651916cd43dd8448eb211c80319c", 16)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def _tracing(exporter: InMemorySpanExporter, ratio: float = 1.0) -> Tracing:
    return start_tracing("profile", None, ratio, exporter)


def test_without_an_endpoint_nothing_is_recorded() -> None:
    tracing = start_tracing("profile", None, 1.0)
    assert not tracing.enabled
    with tracing.span("apply", SAMPLED) as span:
        assert not span.is_recording()
        assert tracing.current_traceparent() == ""
        assert tracing.outgoing() == ()
    tracing.shutdown()


def test_a_span_goes_on_the_trace_that_its_traceparent_names(
    exporter: InMemorySpanExporter,
) -> None:
    tracing = _tracing(exporter, ratio=0.0)
    with tracing.span("apply", SAMPLED):
        assert tracing.current_traceparent().startswith(SAMPLED[:36])
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.context.trace_id) == ("apply", TRACE)
    assert span.resource.attributes["service.name"] == "profile"


def test_what_the_caller_does_not_sample_is_not_sampled(exporter: InMemorySpanExporter) -> None:
    tracing = _tracing(exporter)
    with tracing.span("apply", UNSAMPLED):
        assert tracing.current_traceparent() == ""
        assert dict(tracing.outgoing())["traceparent"].endswith("-00")
    assert not exporter.get_finished_spans()


def test_a_pack_is_one_span_linked_to_its_sampled_events(exporter: InMemorySpanExporter) -> None:
    others = [f"00-{number:032x}-b7ad6b7169203331-01" for number in range(1, 60)]
    with _tracing(exporter).span("pack", links=["", SAMPLED, SAMPLED, "nonsense", *others]):
        pass
    (span,) = exporter.get_finished_spans()
    assert len(span.links) == MAX_LINKS - 1
    assert [link.context.trace_id for link in span.links][:2] == [TRACE, 1]


def _handler(behavior: Any) -> grpc.GenericRpcHandler[Any, Any]:
    handler = grpc.unary_unary_rpc_method_handler(behavior, bytes, bytes)
    return grpc.method_handlers_generic_handler("test.v1.Relay", {"Call": handler})


def _spans_of_a_relay(
    exporter: InMemorySpanExporter, ratio: float, metadata: tuple[tuple[str, str], ...] = ()
) -> dict[str, ReadableSpan]:
    """Return the spans, by service, of a call that one service passes on to another."""
    front, back = (start_tracing(name, None, ratio, exporter) for name in ("front", "back"))

    async def refuse(_request: bytes, _context: object) -> bytes:
        raise errors.NotFound("PROFILE_NOT_FOUND", "nobody has it")

    async def run() -> None:
        servers = [Server("127.0.0.1", 0, tracing) for tracing in (front, back)]
        channel = open_channel(servers[1].address, front)

        async def relay(request: bytes, _context: object) -> bytes:
            with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
                await channel.unary_unary("/test.v1.Relay/Call")(request)
            return b""

        for server, behavior in zip(servers, (relay, refuse), strict=True):
            server.grpc.add_generic_rpc_handlers((_handler(behavior),))
            await server.start(["test.v1.Relay"])
        async with grpc.aio.insecure_channel(servers[0].address) as caller:
            call = caller.unary_unary("/test.v1.Relay/Call")
            await call(b"", timeout=5, metadata=metadata)
        await channel.close(None)
        for server in servers:
            await server.stop(1)

    asyncio.run(run())
    return {
        str(span.resource.attributes["service.name"]): span
        for span in exporter.get_finished_spans()
    }


def test_calls_between_services_are_one_trace(exporter: InMemorySpanExporter) -> None:
    spans = _spans_of_a_relay(exporter, 0.0, (("traceparent", SAMPLED),))
    front, back = spans["front"], spans["back"]
    assert front.context.trace_id == back.context.trace_id == TRACE
    assert back.parent is not None
    assert back.parent.span_id == front.context.span_id
    assert front.name == "test.v1.Relay/Call"
    assert front.attributes is not None
    assert back.attributes is not None
    assert front.attributes["rpc.grpc.status_code"] == "OK"
    assert back.attributes["rpc.grpc.status_code"] == "NOT_FOUND"
    assert back.status.is_ok


def test_a_call_that_is_not_sampled_stays_so_in_the_next_service(
    exporter: InMemorySpanExporter,
) -> None:
    assert _spans_of_a_relay(exporter, 1.0, (("traceparent", UNSAMPLED),)) == {}


class _Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Receives spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, _context: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            self.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


def test_spans_reach_a_collector_over_otlp() -> None:
    collector = _Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tracing = start_tracing("profile", f"http://127.0.0.1:{port}", 1.0)
    with tracing.span("apply"):
        pass
    tracing.shutdown()
    server.stop(0).wait()
    assert collector.names == ["apply"]


def test_what_goes_on_after_a_wait_is_a_new_trace_that_links_to_the_former_one(
    exporter: InMemorySpanExporter,
) -> None:
    tracing = _tracing(exporter, ratio=0.0)
    with tracing.span("step", SAMPLED), tracing.continuation("journey.continue", SAMPLED):
        inside = tracing.current_traceparent()
    with tracing.continuation("journey.continue", UNSAMPLED):
        pass
    with tracing.span("a share of none"):
        pass
    continued, step = exporter.get_finished_spans()
    assert step.name == "step"
    assert continued.parent is None
    assert continued.context is not None
    assert continued.context.trace_id != TRACE
    assert [link.context.trace_id for link in continued.links] == [TRACE]
    assert f"{continued.context.trace_id:032x}" in inside


def test_log_lines_are_json_with_the_clocks_time_from_the_level_on() -> None:
    out = io.StringIO()
    try:
        configure_logs("info", out, ManualClock(1_700_000_000_123))
        log = structlog.get_logger()
        log.debug("unseen")
        log.info("started", service="profile")
        try:
            int("beth@example.org")
        except ValueError:
            logging.getLogger("library").exception("it failed")
    finally:
        structlog.reset_defaults()
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == {
        "event": "started",
        "service": "profile",
        "level": "info",
        "time": "2023-11-14T22:13:20.123+00:00",
    }
    assert (second["event"], second["level"], second["error"]) == (
        "it failed",
        "error",
        "ValueError",
    )
    assert "beth" not in out.getvalue()
