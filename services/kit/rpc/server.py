"""The gRPC server of one service: limits, health, reflection, and a stop that loses no call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from coterie.rpc.v1 import progress_service_pb2_grpc
from services.kit.rpc.drain import Drain
from services.kit.rpc.interceptors import Edge
from services.kit.rpc.progress import ProgressApi
from services.kit.stage import StageState
from services.kit.telemetry import Tracing

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""What a request may hold; more is an export or several calls."""
MAX_INGEST_BYTES = 8 * 1024 * 1024
"""A batch of a thousand inputs with many properties each."""
MAX_METADATA_BYTES = 16 * 1024
MAX_CALLS = 2000
"""Calls at one time; a further one is refused at once, since waiting would only make all late."""
MIN_PING_MS = 10_000

PROGRESS_SERVICE = "coterie.rpc.v1.ProgressService"
LIVENESS = "liveness"
"""Its health says that calls are answered at all: where a stage fails, a restart would not help."""


class AddressInUse(Exception):
    """The server cannot listen where it was told to."""


class Server:
    """One service's server. It has its port from construction on, and serves from `start` on."""

    def __init__(
        self, host: str, port: int, tracing: Tracing, max_request_bytes: int = MAX_REQUEST_BYTES
    ) -> None:
        self._drain = Drain()
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._names: tuple[str, ...] = ()
        self.grpc = grpc.aio.server(
            interceptors=[Edge(tracing, self._drain)],
            options=_options(max_request_bytes),
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        try:
            self._port = self.grpc.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            raise AddressInUse(
                f"cannot listen on {host}:{port}: another process does, or the host is not ours"
            ) from None
        self.address = f"{host}:{self._port}"

    def serve_progress(self, service: str, progress: Callable[[], Sequence[StageState]]) -> None:
        """Add ProgressService, answering for `service`."""
        api = ProgressApi(service, progress)
        progress_service_pb2_grpc.add_ProgressServiceServicer_to_server(api, self.grpc)

    async def start(self, service_names: Sequence[str]) -> None:
        """Serve what was registered; health says NOT_SERVING until `set_serving`."""
        self._names = ("", *service_names, PROGRESS_SERVICE)
        await self.set_serving(serving=False)
        await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        listed = (*self._names[1:], health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(listed, self.grpc)
        await self.grpc.start()

    async def set_serving(self, *, serving: bool) -> None:
        """Tell health whether calls are answered well now."""
        kinds = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, kinds.SERVING if serving else kinds.NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let those that have begun end, cut what is left after `grace_s`."""
        await self._health.enter_graceful_shutdown()
        stopped = asyncio.ensure_future(self.grpc.stop(grace_s))
        await self._drain.run(grace_s)
        await stopped


def _options(max_request_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", MAX_CALLS),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_MS),
        ("grpc.so_reuseport", 0),
    ]
