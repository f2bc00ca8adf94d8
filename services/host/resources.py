"""What the services of one process share: the logs, the databases and the channels to peers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc.aio

from services.kit.datadir import DataDirectory
from services.kit.log.port import Log
from services.kit.log.sql import SqlLog, create_logs
from services.kit.rpc.channels import open_channel
from services.kit.sql import Database
from services.kit.telemetry import Tracing

LOG_SCHEMA = "log"
"""Where a server keeps the logs; each service's tables are in a schema of the service's name."""


class Resources:
    """Opened at their first use, each once; closed together.

    Raises DatabaseUnusable where the database server does not answer.
    """

    def __init__(
        self,
        directory: DataDirectory,
        address: Callable[[str], str],
        database_url: str | None = None,
    ) -> None:
        self._directory = directory
        self._address = address
        self._database_url = database_url
        self._databases: dict[str, Database] = {}
        self._channels: dict[tuple[str, str], grpc.aio.Channel] = {}
        self._logs: dict[str, SqlLog] = {}
        self._log_database = self._open(LOG_SCHEMA, directory.log_path)
        create_logs(self._log_database)

    def log(self, name: str) -> Log:
        """Return the log of this name."""
        if name not in self._logs:
            self._logs[name] = SqlLog(self._log_database, name)
        return self._logs[name]

    def database(self, service: str) -> Database:
        """Return the service's own database."""
        if service not in self._databases:
            path = self._directory.database_path(service)
            self._databases[service] = self._open(service, path)
        return self._databases[service]

    def peers_of(self, service: str, tracing: Tracing) -> Callable[[str], grpc.aio.Channel]:
        """Return what gives `service` its channel to another one."""

        def peer(name: str) -> grpc.aio.Channel:
            key = (service, name)
            if key not in self._channels:
                self._channels[key] = open_channel(self._address(name), tracing)
            return self._channels[key]

        return peer

    async def close(self) -> None:
        """Close everything; what runs on it has stopped."""
        for channel in self._channels.values():
            await channel.close(None)
        for database in self._databases.values():
            database.close()
        self._log_database.close()

    def _open(self, schema: str, path: Path) -> Database:
        """Open the schema of the server where one is configured, else the file."""
        if self._database_url is None:
            return Database(f"sqlite:///{path}")
        return Database(self._database_url, schema)
