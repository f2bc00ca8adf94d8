"""Several services in one process: `coterie up`, `coterie serve`, the demo and tests run this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from services.host.modules import BUILDERS, Builder, request_limit
from services.host.resources import Resources
from services.host.running import Running
from services.kit.clock import Clock, ManualClock, SystemClock
from services.kit.config import SERVICES, Config, ConfigError
from services.kit.datadir import DataDirectory
from services.kit.module import Context
from services.kit.rpc.server import Server
from services.kit.stage import StageState
from services.kit.telemetry import Tracing, start_tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


def open_directory(config: Config) -> DataDirectory:
    """Open the data directory as the configuration says, or make it; raises DataDirectoryError."""
    return DataDirectory(
        config.data_dir,
        config.partitions,
        config.clock,
        config.namespaces,
        config.unique_namespaces,
        config.zone,
    )


class Suite:
    """Runs services: their stages on threads, their servers on the running event loop."""

    def __init__(
        self,
        config: Config,
        services: Sequence[str] = SERVICES,
        *,
        builders: Mapping[str, Builder] = BUILDERS,
        exporter: SpanExporter | None = None,
    ) -> None:
        self.config = config
        self.services = tuple(name for name in builders if name in services)
        self._builders = builders
        self._exporter = exporter
        self._servers: dict[str, Server] = {}
        self._tracing: dict[str, Tracing] = {}
        self._running: dict[str, Running] = {}
        self._opened = AsyncExitStack()

    async def start(self) -> None:
        """Start all services, or none: what went wrong is raised after all else was undone."""
        async with AsyncExitStack() as opened:
            await self._start(opened)
            self._opened = opened.pop_all()

    async def stop(self) -> None:
        """Drain and stop, the service that asks others first; then close the files."""
        await self._opened.aclose()

    def address(self, service: str) -> str:
        """Return where a service is, in this process or elsewhere as configured."""
        if service in self._servers:
            return self._servers[service].address
        if not self.config.peers.get(service) and not self.config.ports.get(service):
            raise ConfigError(f"peers: expected the address of {service}, found none")
        return self.config.address(service)

    def addresses(self) -> dict[str, str]:
        """Return where each service of this process is."""
        return {name: self.address(name) for name in self.services}

    def progress(self) -> list[StageState]:
        """Return how far the stages of this process have come."""
        return [state for each in self._running.values() for state in each.module.progress()]

    def failed(self, service: str) -> str | None:
        """Return what a stage of the service fails with now, None while all go well."""
        return self._running[service].failed

    async def _start(self, opened: AsyncExitStack) -> None:
        config = self.config
        directory = open_directory(config)
        for name in self.services:
            lock = opened.enter_context(directory.occupy(name))
            lock.announce(self._listen(name, opened))
        resources = Resources(directory, self.address, config.database_url)
        opened.push_async_callback(resources.close)
        clock: Clock = ManualClock() if self.config.clock == "virtual" else SystemClock()
        for name in self.services:
            module = self._builders[name](self._context(name, directory, resources, clock))
            running = Running(module, self._servers[name], self.config.drain_seconds)
            opened.push_async_callback(running.stop)
            self._running[name] = running
            await running.start()

    def _listen(self, name: str, opened: AsyncExitStack) -> str:
        """Take the service's port, before anything is built that may ask where it is."""
        config = self.config
        tracing = start_tracing(name, config.otlp_endpoint, config.sample_ratio, self._exporter)
        opened.callback(tracing.shutdown)
        port = config.ports.get(name, 0)
        server = Server(config.host, port, tracing, request_limit(name))
        opened.push_async_callback(server.stop, 0)
        self._tracing[name], self._servers[name] = tracing, server
        return server.address

    def _context(
        self, name: str, directory: DataDirectory, resources: Resources, clock: Clock
    ) -> Context:
        tracing = self._tracing[name]
        return Context(
            config=self.config,
            directory=directory,
            clock=clock,
            logs=resources.log,
            database=resources.database,
            peer=resources.peers_of(name, tracing),
            tracing=tracing,
        )
