"""One relational database: SQLite files by default, PostgreSQL by a URL, by the same text.

A write that has returned is on disk. What a server needs is in `services.kit.postgres`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, StaticPool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from services.kit import postgres
from services.kit.clock import SystemClock
from services.kit.signal import Signal

_T = TypeVar("_T")

IN_LIMIT = 500
"""Values of one `IN`: below the number of parameters that any build of SQLite takes."""

MARKS = ", ".join("?" * IN_LIMIT)
"""Their places in a statement for the driver itself."""

BUSY_TIMEOUT_MS = 30_000
"""How long a statement waits for another process's write: longer than any transaction of ours."""

WAL_PAUSE_MS = 5
"""How long to leave a new file to another process that prepares it."""

POOL_SIZE = 32
"""Connections that are kept open: stages, waiting readers and RPC threads of one process."""

CHECKPOINT_PAGES = 8_000
"""What is written is taken over into the file after so many pages: one written often, once."""

CACHE_KIB = 16 * 1024
"""What a connection keeps of the file: the upper pages of the indexes of a step's writes."""

_REST = threading.Event()
"""Nobody sets it: to wait for it is to rest."""

_MODE = "coterie_mode"
"""Execution option that says how a transaction begins: `read`, `write` or `each` (none at all)."""


def chunks(values: Iterable[_T]) -> Iterator[Sequence[_T]]:
    """Return the values in parts of which each fits into one `IN`."""
    rest = iter(values)
    while chunk := list(islice(rest, IN_LIMIT)):
        yield chunk


def in_marks_of(connection: Connection, statement: str) -> str:
    """Return a statement for the driver itself: for thousands of ids SQLAlchemy costs more than it.

    SQLite's driver marks parameters with `?`, those of PostgreSQL with `%s`.
    """
    return statement if connection.dialect.paramstyle == "qmark" else statement.replace("?", "%s")


class Database:
    """A database with one writer at a time in this process; readers see the last commit.

    `url` is SQLAlchemy's: `sqlite:///path`, `sqlite://` (in memory: readers and writers take
    turns) or `postgresql+psycopg://...` with the schema that has the tables. Writers of several
    processes wait for each other: on SQLite always, on PostgreSQL where they write the same row.
    """

    def __init__(self, url: str, schema: str | None = None) -> None:
        parsed = make_url(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self._schema = schema
        if self._sqlite:
            self._place, self._engine = f"{parsed.database or 'memory'}", _sqlite_engine(parsed)
        else:
            self._place = postgres.place_of(parsed, schema)
            self._engine = postgres.open_engine(parsed, schema)
        self._shared = isinstance(self._engine.pool, StaticPool)
        self._turn = _Turn(self._place)
        self._signals: dict[str, Signal] = {}
        self._signals_lock = threading.Lock()

    def signal(self, name: str) -> Signal:
        """Return the signal of that name: users of this object tell each other of commits."""
        with self._signals_lock:
            return self._signals.setdefault(name, Signal())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Run one write transaction: committed at the end of the block, rolled back on any error.

        Raises RuntimeError where this thread has one open already.
        """
        with self._turn.taken(), self._begun("write") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run reads that all see one state of the database."""
        if self._shared:
            with self._turn.taken(), self._begun("read") as connection:
                yield connection
        else:
            with self._begun("read") as connection:
                yield connection

    @contextmanager
    def watch(self) -> Iterator[Connection]:
        """Run reads of which each sees the newest state: for polling."""
        if self._shared:
            raise RuntimeError("a database in memory has no other writers to watch for")
        options = {_MODE: "each"} if self._sqlite else {"isolation_level": "AUTOCOMMIT"}
        with self._engine.connect() as connection:
            yield connection.execution_options(**options)

    @property
    def shared_with_processes(self) -> bool:
        """Whether another process can write to it."""
        return not self._shared

    def create(self, metadata: MetaData) -> None:
        """Create the tables that are not there yet, and on PostgreSQL their schema.

        Raises DatabaseUnusable where a server does not answer, or does not allow it.
        """
        try:
            with self.write() as connection:
                if not self._sqlite:
                    postgres.make_room(connection, self._schema)
                metadata.create_all(connection)
        except DBAPIError as error:
            if self._sqlite:
                raise
            raise postgres.unusable(self._place, error) from None

    def close(self) -> None:
        """Close every connection; the object is of no use afterwards.

        The one connection to a database in memory is closed once nobody is at it: the driver would
        take it from under a statement.
        """
        if self._shared:
            with self._turn.taken():
                self._engine.dispose()
        else:
            self._engine.dispose()

    @contextmanager
    def _begun(self, mode: str) -> Iterator[Connection]:
        options: dict[str, Any] = {_MODE: mode}
        if not self._sqlite and mode == "read":
            options["isolation_level"] = "REPEATABLE READ"
        with self._engine.connect() as connection:
            connection.execution_options(**options)
            with connection.begin():
                yield connection


class _Turn:
    """A lock that says so, instead of standing still, when its holder asks again."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._holder == me:
            raise RuntimeError(f"{self._what}: this thread has a transaction open already")
        with self._lock:
            self._holder = me
            try:
                yield
            finally:
                self._holder = None


def _sqlite_engine(url: URL) -> Engine:
    in_memory = url.database in {None, "", ":memory:"}
    arguments = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000}
    engine = (
        create_engine(url, poolclass=StaticPool, connect_args=arguments, hide_parameters=True)
        if in_memory
        else create_engine(
            url,
            pool_size=POOL_SIZE,
            max_overflow=0,
            connect_args=arguments,
            hide_parameters=True,  # they may be personal, and errors are logged
        )
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver would begin transactions by itself, and too late: we begin them.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _begin_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Let a new file have a write-ahead log; another process may be doing the same just now."""
    clock = SystemClock()
    end_ms = clock.monotonic_ms() + BUSY_TIMEOUT_MS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] not in {"wal", "memory"}:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # Whoever is in its way is not waited for by SQLite: both hold a lock that both would
            # have to give up.
            if clock.monotonic_ms() > end_ms:
                raise
            _REST.wait(WAL_PAUSE_MS / 1000)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get(_MODE)
    # A write that begins as a read fails when another process writes in between: lock first.
    if mode == "write":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif mode == "read":
        connection.exec_driver_sql("BEGIN")
