"""The edge of every service: what a caller sees of a failure, a malformed message, a deadline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from structlog.testing import capture_logs

from coterie.rpc.v1 import clock_service_pb2 as pb
from services.kit import errors
from services.kit.rpc.server import MAX_REQUEST_BYTES, Server
from services.kit.telemetry import Tracing

SERVICE = "test.v1.EchoService"
Behavior = Callable[..., Any]


async def _with_server(
    behaviors: dict[str, grpc.RpcMethodHandler[Any, Any]],
    test: Callable[[grpc.aio.Channel, Server], Awaitable[None]],
) -> None:
    server = Server("127.0.0.1", 0, Tracing())
    server.grpc.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, behaviors),)
    )
    await server.start([SERVICE])
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            await test(channel, server)
    finally:
        await server.stop(0)


def _unary(behavior: Behavior) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    handler = grpc.unary_unary_rpc_method_handler(
        behavior, pb.TickRequest.FromString, pb.TickResponse.SerializeToString
    )
    return {"Call": handler}


def _call_raw(
    behavior: Behavior, raw: bytes = b"", timeout: float | None = 5
) -> grpc.aio.AioRpcError:
    """Return how the call failed."""
    failures: list[grpc.aio.AioRpcError] = []

    async def test(channel: grpc.aio.Channel, _: Server) -> None:
        call = channel.unary_unary(f"/{SERVICE}/Call")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(raw, timeout=timeout)
        failures.append(caught.value)

    asyncio.run(_with_server(_unary(behavior), test))
    return failures[0]


def _details(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    trailers = dict(error.trailing_metadata())
    return status_pb2.Status.FromString(trailers["grpc-status-details-bin"])


def _info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def _answer(_request: pb.TickRequest, _context: object) -> pb.TickResponse:
    return pb.TickResponse(revision="1")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.NotFound, grpc.StatusCode.NOT_FOUND),
        (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
        (errors.FailedPrecondition, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.Conflict, grpc.StatusCode.ABORTED),
        (errors.Exhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_each_kind_of_failure_has_its_code_and_says_its_reason(
    kind: type[errors.DomainError], code: grpc.StatusCode
) -> None:
    async def fail(_request: object, _context: object) -> pb.TickResponse:
        raise kind("TOO_MANY", "at most 3, found 4", {"limit": "3", "found": "4"})

    error = _call_raw(fail)
    info = _info(_details(error))
    assert (error.code(), error.details()) == (code, "at most 3, found 4")
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "TOO_MANY",
        "coterie",
        {"limit": "3", "found": "4"},
    )


def test_a_field_mistake_names_the_field() -> None:
    async def fail(_request: object, _context: object) -> pb.TickResponse:
        raise errors.invalid_field("audience.rule", "nothing", "a rule")

    status = _details(_call_raw(fail))
    mistakes = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(mistakes)
    assert mistakes.field_violations[0].field == "audience.rule"


def test_a_reached_limit_says_when_to_come_back() -> None:
    async def fail(_request: object, _context: object) -> pb.TickResponse:
        raise errors.Exhausted("BACKLOG_FULL", "the stages lag")

    error = _call_raw(fail)
    retry = error_details_pb2.RetryInfo()
    assert _details(error).details[1].Unpack(retry)
    assert retry.retry_delay.seconds == 1
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"


def test_an_unknown_failure_tells_nothing_and_is_logged_without_its_text() -> None:
    async def fail(_request: object, _context: object) -> pb.TickResponse:
        raise LookupError("beth@example.org")

    with capture_logs() as logged:
        error = _call_raw(fail)
    assert error.code() == grpc.StatusCode.INTERNAL
    assert error.details() == "the service failed; the failure is in its log"
    line = next(line for line in logged if line["event"] == "rpc_failed")
    assert (line["method"], line["error"]) == (f"/{SERVICE}/Call", "LookupError")
    assert "test_rpc_edge.py" in line["at"][-1]
    assert "beth" not in json.dumps(logged) + str(error.trailing_metadata())


def test_malformed_bytes_are_the_callers_mistake() -> None:
    error = _call_raw(_answer, b"\xff\xff\xff")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert _info(_details(error)).reason == "MALFORMED_REQUEST"


def test_a_message_over_the_limit_is_refused_as_a_limit() -> None:
    error = _call_raw(_answer, bytes(MAX_REQUEST_BYTES + 1))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_call_without_deadline_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.kit.rpc.deadlines.DEFAULT_UNARY_S", 0.05)
    cancelled: list[bool] = []

    async def hang(_request: object, _context: object) -> pb.TickResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return pb.TickResponse()

    error = _call_raw(hang, timeout=None)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert cancelled == [True]


def test_a_timeout_inside_the_service_is_not_the_callers_deadline() -> None:
    async def fail(_request: object, _context: object) -> pb.TickResponse:
        raise TimeoutError

    assert _call_raw(fail, timeout=None).code() == grpc.StatusCode.INTERNAL


def test_a_streams_malformed_message_ends_it_with_the_reason() -> None:
    async def echo(requests: AsyncIterator[pb.TickRequest], _context: object) -> AsyncIterator[Any]:
        async for _ in requests:
            yield pb.TickResponse(revision="1")

    handler = grpc.stream_stream_rpc_method_handler(
        echo, pb.TickRequest.FromString, pb.TickResponse.SerializeToString
    )

    async def test(channel: grpc.aio.Channel, _: Server) -> None:
        call = channel.stream_stream(f"/{SERVICE}/Call")(iter([b"", b"\xff\xff"]))
        answers: list[bytes] = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            answers.extend([answer async for answer in call])
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert _info(_details(caught.value)).reason == "MALFORMED_REQUEST"

    asyncio.run(_with_server({"Call": handler}, test))


def test_stopping_lets_a_call_end_and_cuts_an_endless_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.kit.rpc.drain.STREAM_GRACE_S", 0.05)
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(_request: object, _context: object) -> pb.TickResponse:
        entered.set()
        await release.wait()
        return pb.TickResponse(revision="done")

    async def watch(_request: object, _context: object) -> AsyncIterator[pb.TickResponse]:
        yield pb.TickResponse(revision="first")
        await asyncio.Event().wait()

    behaviors = _unary(slow)
    behaviors["Watch"] = grpc.unary_stream_rpc_method_handler(
        watch, pb.TickRequest.FromString, pb.TickResponse.SerializeToString
    )

    async def test(channel: grpc.aio.Channel, server: Server) -> None:
        answer = asyncio.ensure_future(channel.unary_unary(f"/{SERVICE}/Call")(b"", timeout=5))
        stream = channel.unary_stream(f"/{SERVICE}/Watch")(b"")
        await stream.read()
        await entered.wait()
        stop = asyncio.ensure_future(server.stop(5))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert not stop.done()
        release.set()
        assert pb.TickResponse.FromString(await answer).revision == "done"
        await stop

    asyncio.run(_with_server(behaviors, test))


def test_an_unknown_method_is_unimplemented() -> None:
    async def test(channel: grpc.aio.Channel, _: Server) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/{SERVICE}/Other")(b"", timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(_with_server(_unary(_answer), test))
