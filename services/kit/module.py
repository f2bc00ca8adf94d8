"""What a service's `module.py` is given and what it builds; the host runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc.aio

from services.kit.clock import Clock
from services.kit.config import Config
from services.kit.datadir import DataDirectory
from services.kit.log.port import Log
from services.kit.sql import Database
from services.kit.stage import Stage, StageState
from services.kit.telemetry import Tracing


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a service may reach; the host opens logs and databases and closes them."""

    config: Config
    directory: DataDirectory
    clock: Clock
    logs: Callable[[str], Log]
    database: Callable[[str], Database]
    peer: Callable[[str], grpc.aio.Channel]
    tracing: Tracing


class Module(Protocol):
    """One service, built and not yet running."""

    @property
    def name(self) -> str:
        """The service's short name, e.g. `identity`."""

    @property
    def service_names(self) -> Sequence[str]:
        """The full names of its gRPC services, for health and reflection."""

    @property
    def stages(self) -> Sequence[Stage]:
        """The stages that the host runs, each on a thread of its own."""

    def register(self, server: grpc.aio.Server) -> None:
        """Add all its servicers to the server."""

    async def start(self) -> None:
        """Start its own background tasks; the stages run already."""

    async def stop(self) -> None:
        """End its own background tasks; the stages still run."""

    def progress(self) -> Sequence[StageState]:
        """Return how far each stage has come. Called often, so it is cheap."""
