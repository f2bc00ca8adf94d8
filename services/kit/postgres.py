"""What a PostgreSQL server needs that a file does not: a schema, sessions, and being away at times.

Nothing that is raised or said here names a user or a password.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DRIVER = "postgresql+psycopg"

POOL_SIZE = 10
"""Connections kept open for each schema: six of them in one process stay below the usual 100."""

LOCK_TIMEOUT_MS = 30_000
"""How long a statement waits for another process's write: longer than any transaction of ours."""

IDLE_TIMEOUT_MS = 60_000
"""When the server ends a transaction whose process stands still: else it holds its rows on."""

_CONNECTION: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""A server that is gone without a word is noticed in half a minute; the URL may say otherwise."""

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# Turned off for all, it loses what was acknowledged; other levels are the server's choice.
_ON_DISK = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)


class DatabaseUnusable(Exception):
    """The database cannot be used: where it is, and what its driver says."""


def check_url(value: str) -> str:
    """Return what was expected of the URL instead, empty for nothing: `value` may be a secret.

    >>> check_url("postgresql+psycopg://shop@db.example/coterie")
    ''
    """
    expected = f"a URL such as {DRIVER}://user@host/database"
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        return expected
    return "" if url.drivername == DRIVER and url.database else expected


def place_of(url: URL, schema: str | None) -> str:
    """Return how messages call the database: without its user, password and options."""
    host = url.host or url.query.get("host", "the local socket")
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL at {host}{port}, database {url.database}, schema {schema or 'default'}"


def open_engine(url: URL, schema: str | None) -> Engine:
    """Return connections whose tables are those of `schema`; none is opened yet.

    Raises DatabaseUnusable where the driver is not installed.
    """
    if schema is not None and not _SCHEMA.fullmatch(schema):
        raise ValueError(f"expected a schema's name in lower case, found {schema!r}")
    wanted = {**_CONNECTION, "application_name": f"coterie {schema or ''}".strip()}
    settings = {name: value for name, value in wanted.items() if name not in url.query}
    try:
        engine = create_engine(
            url,
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_pre_ping=True,  # the server may have been started again since
            hide_parameters=True,  # they may be personal, and errors are logged
            connect_args=settings,
        )
    except ModuleNotFoundError as error:
        raise DatabaseUnusable(
            f"the driver {error.name} is not installed: install `coterie[postgres]`"
        ) from None
    # First of all listeners: SQLAlchemy's own asks the new session which schema is current.
    event.listen(engine, "connect", _session_of(schema), insert=True)
    event.listen(engine, "handle_error", _let_go)
    return engine


def make_room(connection: Connection, schema: str | None) -> None:
    """Create the schema where it is missing; until the commit no other process creates tables."""
    key = zlib.crc32(f"coterie {schema or ''}".encode())
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    query = text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
    if schema and connection.execute(query, {"schema": schema}).one_or_none() is None:
        connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')


def unusable(place: str, error: DBAPIError) -> DatabaseUnusable:
    """Return what a failed statement means to who starts the process, in one line."""
    said = " ".join(str(error.orig).split()) or type(error.orig).__name__
    return DatabaseUnusable(f"database_url: {place}: {said}")


def is_away(error: BaseException | None) -> bool:
    """Return whether a server is away, full or occupied: the same again may succeed.

    Of SQLite nothing is said: its driver has one kind of error for these and for mistakes.
    """
    if isinstance(error, PoolTimeout):
        return True
    return isinstance(error, OperationalError) and not isinstance(error.orig, sqlite3.Error)


def _let_go(context: ExceptionContext) -> None:
    """Close a cursor whose connection was cut: SQLAlchemy does not, and the driver complains."""
    cursor = getattr(context.execution_context, "cursor", None)
    if context.is_disconnect and cursor is not None:
        with suppress(Exception):
            cursor.close()


def _session_of(schema: str | None) -> Callable[[Any, object], None]:
    settings = [
        f"SET lock_timeout = {LOCK_TIMEOUT_MS}",
        f"SET idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}",
        "SET TIME ZONE 'UTC'",
        _ON_DISK,
    ]
    if schema is not None:
        settings.append(f'SET search_path TO "{schema}"')

    def prepare(connection: Any, _record: object) -> None:
        connection.autocommit = True
        connection.execute("; ".join(settings))
        connection.autocommit = False

    return prepare
