"""Tracing: off unless an endpoint is configured. A trace follows an event by its W3C `traceparent`.

What is off costs one attribute look-up. No personal data reaches a span: names and counts only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_W3C = TraceContextTextMapPropagator()
TRACEPARENT = "traceparent"
Metadata = Iterable[tuple[str, str | bytes]]
_OUR_FAULT = frozenset({"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS", "UNKNOWN"})
MAX_LINKS = 32
"""A pack may hold a thousand sampled events; a span with more links than this helps nobody."""


class Tracing:
    """Starts spans for one service, or does nothing."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("coterie") if provider else None

    @property
    def enabled(self) -> bool:
        """Whether anything is recorded at all."""
        return self._tracer is not None

    @contextmanager
    def span(
        self, name: str, traceparent: str | None = None, links: Sequence[str] = ()
    ) -> Iterator[trace.Span]:
        """Run the body inside a span.

        Its parent is `traceparent` where one is given, else the current span. `links` are the
        traceparents of what the span works on; empty ones are passed over.
        """
        if self._tracer is None:
            yield trace.INVALID_SPAN
            return
        with self._tracer.start_as_current_span(
            name,
            context=_parse(traceparent) if traceparent else None,
            links=[trace.Link(context) for context in _span_contexts(links)],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    @contextmanager
    def continuation(self, name: str, former: str) -> Iterator[trace.Span]:
        """Run the body inside the first span of a new trace that links to the former one.

        For what goes on after a wait: a trace of three days shows nobody anything. Sampled where
        the former one was.
        """
        contexts = _span_contexts([former])
        if self._tracer is None or not any(each.trace_flags.sampled for each in contexts):
            yield trace.INVALID_SPAN
            return
        from services.kit.sampling import CONTINUES  # noqa: PLC0415  the SDK is loaded by now

        with self._tracer.start_as_current_span(
            name,
            context=Context(),
            links=[trace.Link(context) for context in contexts],
            attributes={CONTINUES: True},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    @contextmanager
    def server_span(self, method: str, metadata: Metadata) -> Iterator[trace.Span]:
        """Run the body inside the span of a served call; its parent came in the metadata."""
        if self._tracer is None:
            yield trace.INVALID_SPAN
            return
        parent = next((value for key, value in metadata if key == TRACEPARENT), None)
        service, _, name = method.strip("/").rpartition("/")
        with self._tracer.start_as_current_span(
            f"{service}/{name}",
            context=_parse(parent) if isinstance(parent, str) else None,
            kind=trace.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    def finish(self, span: trace.Span, code: str) -> None:
        """Note how a served call ended; what is the caller's fault is no error of ours."""
        if self._tracer is None:
            return
        span.set_attribute("rpc.grpc.status_code", code)
        if code in _OUR_FAULT:
            span.set_status(trace.StatusCode.ERROR)

    def outgoing(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata that make a call part of this trace, or keep it unsampled with it."""
        if self._tracer is None:
            return ()
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return tuple(carrier.items())

    def current_traceparent(self) -> str:
        """Return the current span's `traceparent`, empty where it is not sampled."""
        if (
            self._tracer is None
            or not trace.get_current_span().get_span_context().trace_flags.sampled
        ):
            return ""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get(TRACEPARENT, "")

    def shutdown(self) -> None:
        """Send what is waiting and stop."""
        if self._provider is not None:
            self._provider.shutdown()


def start_tracing(
    service: str,
    endpoint: str | None,
    sample_ratio: float,
    exporter: SpanExporter | None = None,
) -> Tracing:
    """Return tracing for `service`: off without endpoint and exporter.

    A call that comes with a sampled parent is sampled; of those without a parent, `sample_ratio`.
    """
    if endpoint is None and exporter is None:
        return Tracing()
    # The SDK and the exporter take a third of a second to import, and most processes trace nothing.
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SimpleSpanProcessor,
    )

    from services.kit.sampling import sampler  # noqa: PLC0415  as above

    provider = TracerProvider(
        sampler=sampler(sample_ratio),
        resource=Resource.create({"service.name": service, "service.namespace": "coterie"}),
        shutdown_on_exit=False,
    )
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return Tracing(provider)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return Tracing(provider)


def _parse(traceparent: str) -> Context:
    return _W3C.extract({TRACEPARENT: traceparent})


def _span_contexts(traceparents: Sequence[str]) -> list[trace.SpanContext]:
    """Return the distinct contexts of the texts that are valid, at most MAX_LINKS."""
    distinct = dict.fromkeys(filter(None, traceparents))
    contexts = (
        trace.get_current_span(_parse(text)).get_span_context()
        for text in list(distinct)[:MAX_LINKS]
    )
    return [context for context in contexts if context.is_valid]
