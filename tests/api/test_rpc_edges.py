"""What every RPC of a running suite answers to what is malformed, too large, empty or random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
import rpcs
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2, status_pb2

from coterie.rpc.v1 import error_reason_pb2
from services.host.embedded import Suite
from services.kit.config import Config
from services.kit.rpc.server import MAX_INGEST_BYTES

DEADLINE_S = 10.0
QUIET_S = 0.1
RANDOM_MESSAGES = 40
CODES = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
}
"""What a request of one's own making may lead to on a healthy suite: never INTERNAL or UNKNOWN."""

Answer = tuple[MethodDescriptor, grpc.aio.AioRpcError | None]
Ask = Callable[[MethodDescriptor, bytes], Awaitable[grpc.aio.AioRpcError | None]]


@pytest.fixture(scope="module")
def ask_all(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Callable[[MethodDescriptor], bytes]], list[Answer]]]:
    """Return what sends every RPC one raw message each and gives back how each failed, or None."""
    runner = asyncio.Runner()
    ports = {"identity": 0, "profile": 0, "segmentation": 0}
    data_dir: Path = tmp_path_factory.mktemp("api") / "data"
    suite = Suite(Config(data_dir=data_dir, ports=ports, clock="virtual"))
    runner.run(suite.start())

    async def ask_each(raw_of: Callable[[MethodDescriptor], bytes]) -> list[Answer]:
        answers: list[Answer] = []
        for service in rpcs.services():
            for server in _servers(service.full_name, rpcs.server_of(service)):
                async with grpc.aio.insecure_channel(suite.address(server)) as channel:
                    answers += [(m, await _ask(channel, m, raw_of(m))) for m in service.methods]
        return answers

    yield lambda raw_of: runner.run(ask_each(raw_of))
    runner.run(suite.stop())
    runner.close()


def _servers(service: str, home: str) -> tuple[str, ...]:
    return ("identity", "profile", "segmentation") if service in rpcs.SHARED else (home,)


async def _ask(
    channel: grpc.aio.Channel, method: MethodDescriptor, raw: bytes
) -> grpc.aio.AioRpcError | None:
    """Return how the call failed; a stream that answers, or is quiet, has not failed."""
    path = rpcs.path(method)
    try:
        if method.client_streaming:
            call = channel.stream_stream(path)(iter([raw]), timeout=DEADLINE_S)
            await call.read()
        elif method.server_streaming:
            patience_s = QUIET_S if len(raw) < MAX_INGEST_BYTES else DEADLINE_S
            watch = channel.unary_stream(path)(raw, timeout=patience_s)
            await watch.read()
            watch.cancel()
        else:
            await channel.unary_unary(path)(raw, timeout=DEADLINE_S)
    except grpc.aio.AioRpcError as error:
        quiet = method.server_streaming and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        return None if quiet else error
    return None


def _info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


def test_malformed_bytes_are_refused_with_the_reason_and_leak_nothing(ask_all) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    for method, error in ask_all(lambda _: b"\xff\xff\xffsecret"):
        assert error is not None, method.full_name
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, method.full_name
        assert _info(error).reason == "MALFORMED_REQUEST"
        assert "secret" not in str(error.details())
        assert "Error parsing" not in str(error.details())


def test_a_message_over_the_limit_is_refused_as_such(ask_all) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    too_large = bytes(MAX_INGEST_BYTES + 1)
    for method, error in ask_all(lambda _: too_large):
        assert error is not None, method.full_name
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, method.full_name


def test_an_empty_request_is_answered_or_refused_with_a_known_reason(ask_all) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    for method, error in ask_all(lambda _: b""):
        _check_refusal(method, error)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_fields_are_answered_or_refused_with_a_known_reason(ask_all, seed: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    chance = random.Random(seed)
    for _ in range(RANDOM_MESSAGES):
        for method, error in ask_all(lambda _: _random_message(chance)):
            _check_refusal(method, error)


def _random_message(chance: random.Random, depth: int = 0) -> bytes:
    """Return fields with random numbers and contents; unknown ones are passed over by protobuf."""
    content = b""
    for _ in range(chance.randrange(4)):
        number = chance.randrange(1, 8)
        if chance.random() < 0.3:
            content += bytes([number << 3, chance.randrange(128)])
            continue
        inner = chance.choice([b"", b"x", b"audiences/a", b"42", b"\xc3\xa9", bytes(40)])
        if depth < 4 and chance.random() < 0.6:
            inner = _random_message(chance, depth + 1)
        if len(inner) < 128:
            content += bytes([number << 3 | 2, len(inner)]) + inner
    return content


def _check_refusal(method: MethodDescriptor, error: grpc.aio.AioRpcError | None) -> None:
    if error is None:
        return
    assert error.code() in CODES, f"{method.full_name}: {error.code()} {error.details()}"
    info = _info(error)
    assert info.domain == "coterie"
    assert f"ERROR_REASON_{info.reason}" in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118
