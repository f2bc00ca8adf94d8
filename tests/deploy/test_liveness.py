"""What the probes ask: readiness follows the stages, liveness says that calls are answered."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.kit.rpc.server import LIVENESS, Server
from services.kit.telemetry import start_tracing

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def _health(port: str) -> tuple[int, int]:
    """Return what readiness and liveness probes would hear."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        requests = [health_pb2.HealthCheckRequest(service=name) for name in ("", LIVENESS)]
        ready, live = [await stub.Check(request, timeout=5) for request in requests]
    return int(ready.status), int(live.status)


def test_a_service_that_fails_is_not_ready_but_alive() -> None:
    async def run() -> None:
        server = Server("0.0.0.0", 0, start_tracing("identity", None, 0.0, None))  # noqa: S104
        port = server.address.rpartition(":")[2]
        await server.start(["coterie.identity.v1.IdentityService"])
        assert await _health(port) == (NOT_SERVING, SERVING)
        await server.set_serving(serving=True)
        assert await _health(port) == (SERVING, SERVING)
        await server.set_serving(serving=False)
        assert await _health(port) == (NOT_SERVING, SERVING)
        await server.stop(0)

    asyncio.run(run())


def test_a_service_that_has_not_started_answers_no_probe() -> None:
    async def run() -> None:
        server = Server("127.0.0.1", 0, start_tracing("identity", None, 0.0, None))
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Check(request, timeout=0.2)
        await server.stop(0)

    asyncio.run(run())
