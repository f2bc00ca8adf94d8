"""The edge of every service: parsing, deadlines, spans, and each failure as the status that it is.

grpcio parses a request before any handler sees it, and answers what it cannot parse with the text
of its exception; so requests reach this edge as bytes and are parsed here.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn, ParamSpec, TypeAlias, TypeVar, cast

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from services.kit.clock import SystemClock
from services.kit.errors import DomainError
from services.kit.rpc import deadlines, status
from services.kit.rpc.drain import Drain, stopping
from services.kit.telemetry import Tracing

log = structlog.get_logger("rpc")

Call: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_P = ParamSpec("_P")
_T = TypeVar("_T")

LATE_TEXT = "the call took longer than its deadline"
FRAMES_LOGGED = 6
"""How deep a logged failure points into the code: places only, since texts may hold data."""


def takes_bytes(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Mark a servicer's method that reads the bytes of its requests itself."""
    method.takes_bytes = True  # type: ignore[attr-defined]  # a mark that `_wrap` looks for
    return method


class Edge(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Wraps each method once, at its first call."""

    def __init__(self, tracing: Tracing, drain: Drain) -> None:
        self._tracing = tracing
        self._drain = drain
        self._clock = SystemClock()
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the wrapped handler; for an unknown method what grpc has: None."""
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:
                return handler
            self._wrapped[method] = _wrap(self, method, handler)
        return self._wrapped[method]

    async def serve(
        self, method: str, call: Call, work: Coroutine[Any, Any, Any], default_s: float | None
    ) -> Any:
        """Do the work of one call: within its deadline, in its span, its failure as a status."""
        began_ms = self._clock.monotonic_ms()
        outcome = "CANCELLED"
        with self._tracing.server_span(method, call.invocation_metadata() or ()) as span:
            try:
                answer = await _in_time(call, work, default_s)
                outcome = "OK"
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except DomainError as error:
                outcome = status.code_of(error).name
                await _fail(call, error)
            except deadlines.Late:
                outcome = "DEADLINE_EXCEEDED"
                await call.abort(grpc.StatusCode.DEADLINE_EXCEEDED, LATE_TEXT)
            except Exception as error:  # noqa: BLE001 - the root of a call: nothing leaks out of it
                known = status.of_peer(error) or status.of_database(error)
                outcome = status.code_of(known).name if known else "INTERNAL"
                await (_fail(call, known) if known else _fail_unknown(method, call, error))
            finally:
                self._tracing.finish(span, outcome)
                log.debug(
                    "rpc_served",
                    method=method,
                    code=outcome,
                    took_ms=self._clock.monotonic_ms() - began_ms,
                )
        return answer

    async def stream(self, responses: Any, call: Call) -> None:
        """Send what a streaming handler gives, until it ends or draining ends it."""
        with self._drain.stream():
            if hasattr(responses, "__aiter__"):
                async for response in responses:
                    await call.write(response)
            else:
                await responses
            if self._drain.begun:
                raise stopping()

    async def requests(
        self, parse: Callable[[bytes], Any], raws: AsyncIterator[bytes]
    ) -> AsyncIterator[Any]:
        """Parse a stream of requests; draining ends it, so that the handler answers and stops."""
        async for raw in raws:
            if self._drain.begun:
                return
            yield parse(raw)


@dataclass(frozen=True, slots=True)
class _Method:
    """One method as grpc calls it, in each of the four shapes that a method can have."""

    edge: Edge
    name: str
    behavior: Callable[..., Any]
    parse: Callable[[bytes], Any]

    async def unary_unary(self, raw: bytes, call: Call) -> Any:
        async def work() -> Any:
            return await self.behavior(self.parse(raw), call)

        return await self.edge.serve(self.name, call, work(), deadlines.DEFAULT_UNARY_S)

    async def unary_stream(self, raw: bytes, call: Call) -> None:
        async def work() -> None:
            await self.edge.stream(self.behavior(self.parse(raw), call), call)

        await self.edge.serve(self.name, call, work(), None)

    async def stream_unary(self, raws: AsyncIterator[bytes], call: Call) -> Any:
        async def work() -> Any:
            return await self.behavior(self.edge.requests(self.parse, raws), call)

        return await self.edge.serve(self.name, call, work(), None)

    async def stream_stream(self, raws: AsyncIterator[bytes], call: Call) -> None:
        requests = self.edge.requests(self.parse, raws)
        work = self.edge.stream(self.behavior(requests, call), call)
        await self.edge.serve(self.name, call, work, None)


def _wrap(edge: Edge, name: str, handler: Handler) -> Handler:
    shape = "_".join(
        "stream" if streaming else "unary"
        for streaming in (handler.request_streaming, handler.response_streaming)
    )
    behavior = getattr(handler, shape)
    parse = _parser(None if hasattr(behavior, "takes_bytes") else handler.request_deserializer)
    method = _Method(edge, name, behavior, parse)
    make = getattr(grpc, f"{shape}_rpc_method_handler")
    return cast("Handler", make(getattr(method, shape), None, handler.response_serializer))


def _parser(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def parse(raw: bytes) -> Any:
        try:
            return deserialize(raw) if deserialize else raw
        except (DecodeError, ValueError):
            raise status.malformed() from None

    return parse


async def _in_time(call: Call, work: Coroutine[Any, Any, Any], default_s: float | None) -> Any:
    """Await the work. Where the caller set a deadline, grpc itself ends the call at it."""
    remaining_s = cast("float | None", call.time_remaining())
    if remaining_s is not None:
        deadlines.begin(remaining_s)
        return await work
    deadlines.begin(default_s)
    return await deadlines.within(default_s, work)


async def _fail(call: Call, error: DomainError) -> NoReturn:
    await call.abort(status.code_of(error), error.message, status.to_trailers(error))


async def _fail_unknown(method: str, call: Call, error: Exception) -> NoReturn:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_LOGGED:]
    log.error(
        "rpc_failed",
        method=method,
        error=type(error).__qualname__,
        at=[f"{frame.filename}:{frame.lineno}" for frame in frames],
    )
    await call.abort(grpc.StatusCode.INTERNAL, status.INTERNAL_TEXT)
