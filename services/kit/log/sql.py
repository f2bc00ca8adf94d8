"""The log in a relational database: the engine of one machine (SQLite) and of tests on PostgreSQL.

An append is one transaction that moves the log's end and inserts its records. Every record carries
a checksum over all that it says; a read that finds a gap or a wrong checksum serves nothing.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from services.kit.clock import SystemClock
from services.kit.log.port import APPEND_LIMIT_BYTES, Corrupt, Entry, Fenced, Held, LogError, Record
from services.kit.sql import Database

POLL_MS = 5
"""How often a waiting reader looks for records of another process."""

READ_LIMIT_BYTES = 4 * APPEND_LIMIT_BYTES
"""A read ends after the record that passes this: a backlog of large packs must fit in memory."""

FEW = READ_LIMIT_BYTES // APPEND_LIMIT_BYTES
"""So many records are within that, however large they are."""

_DAMAGED = frozenset({"XX001", "XX002"})
"""What PostgreSQL calls a damaged page of a table or of an index."""

_metadata = MetaData()

_logs = Table(
    "logs",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
)

_records = Table(
    "log_records",
    _metadata,
    Column("log", ForeignKey("logs.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("source", BigInteger, nullable=False),
    Column("dead_letter", Boolean, nullable=False),
    Column("crc", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)

_SERVED = [_records.c[column] for column in ("seq", "source", "dead_letter", "crc", "payload")]

_holds = Table(
    "log_holds",
    _metadata,
    Column("log", ForeignKey("logs.id"), primary_key=True),
    Column("reader", String(200), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

# Built once: building a statement costs more than running it.
_ENDS = select(_logs.c.first_seq, _logs.c.last_seq).where(_logs.c.id == bindparam("of_log"))
_ALL_ENDS = select(_logs.c.name, _logs.c.last_seq)
_ENDS_LOCKED = _ENDS.with_for_update()
_MOVE = (
    update(_logs)
    .where(_logs.c.id == bindparam("of_log"))
    .values(last_seq=_logs.c.last_seq + bindparam("by"))
    .returning(_logs.c.last_seq)
)
_MOVE_FENCED = _MOVE.where(_logs.c.last_seq == bindparam("expected_last"))
_INSERT = insert(_records)
_after = (_records.c.log == bindparam("of_log")) & (_records.c.seq > bindparam("after"))
_READ = select(*_SERVED).where(_after).order_by(_records.c.seq).limit(bindparam("at_most"))
_SIZES = (
    select(func.length(_records.c.payload))
    .where(_after)
    .order_by(_records.c.seq)
    .limit(bindparam("at_most"))
)


def create_logs(database: Database) -> None:
    """Create the tables of the logs where they are missing."""
    database.create(_metadata)


class SqlLog:
    """One log of a database in which `create_logs` has made the tables; several share a database.

    Opening it makes the log where it is missing. Its methods may be called from any thread. Readers
    that use the same Database object are woken at once, others within POLL_MS.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._end = database.signal(f"log {name}")
        self._polled = database.signal("when the logs were looked at")
        self._clock = SystemClock()
        with _translated(name):
            self._id = _find_or_make(database, name)

    @property
    def name(self) -> str:
        """The log's name."""
        return self._name

    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        """Append all entries in one transaction; see the port."""
        _check_size(self._name, entries)
        with _translated(self._name), self._database.write() as connection:
            last = self._move_end(connection, len(entries), expected_last)
            first = last - len(entries) + 1
            rows = [self._row(first + index, entry) for index, entry in enumerate(entries)]
            connection.execute(_INSERT, rows)
        self._end.tell(last)
        return last

    def read(self, after_seq: int, limit: int = 100) -> list[Record]:
        """Return the next records, at most `limit` and about READ_LIMIT_BYTES; see the port."""
        with _translated(self._name), self._database.read() as connection:
            first, last = self._ends(connection)
            if not first - 1 <= after_seq <= last:
                raise Corrupt(
                    f"log {self._name}: asked for what follows {after_seq}, "
                    f"but it holds {first} to {last}"
                )
            expected = min(limit, last - after_seq)
            return self._read(connection, after_seq, expected) if expected else []

    def last(self) -> Record | None:
        """Return the last record, or None where none was ever appended."""
        with _translated(self._name), self._database.read() as connection:
            _, last = self._ends(connection)
            return self._read(connection, last - 1, 1)[0] if last else None

    def last_seq(self) -> int:
        """Return the last sequence that was given out, or 0."""
        with _translated(self._name), self._database.read() as connection:
            return self._ends(connection)[1]

    def first_seq(self) -> int:
        """Return the sequence of the oldest record that is kept."""
        with _translated(self._name), self._database.read() as connection:
            return self._ends(connection)[0]

    def wait(self, after_seq: int, timeout_s: float) -> bool:
        """Return True once there is a record after `after_seq`, False after the timeout."""
        if self._end.latest > after_seq:
            return True
        if not self._database.shared_with_processes:
            with _translated(self._name), self._database.read() as connection:
                self._end.tell(self._ends(connection)[1])
            return self._end.wait_beyond(after_seq, timeout_s)
        deadline_ms = self._clock.monotonic_ms() + timeout_s * 1000
        while True:
            self._poll()
            left_ms = deadline_ms - self._clock.monotonic_ms()
            if self._end.wait_beyond(after_seq, max(0.0, min(POLL_MS, left_ms)) / 1000):
                return True
            if left_ms <= 0:
                return False

    def hold(self, reader: str, seq: int) -> None:
        """Say that `reader` has stored all up to `seq`."""
        mine = (_holds.c.log == self._id) & (_holds.c.reader == reader)
        with _translated(self._name), self._database.write() as connection:
            if not connection.execute(update(_holds).where(mine).values(seq=seq)).rowcount:
                row = {"log": self._id, "reader": reader, "seq": seq}
                connection.execute(insert(_holds).values(row))

    def trim(self, before_seq: int) -> int:
        """Drop the records before `before_seq`; see the port."""
        with _translated(self._name), self._database.write() as connection:
            first, last = self._ends(connection, for_update=True)
            before = min(before_seq, last + 1)
            self._check_holds(connection, before)
            if before <= first:
                return 0
            # The last record stays in the table, out of reach of `read`: `last` must still find it.
            old = (_records.c.log == self._id) & (_records.c.seq < min(before, last))
            connection.execute(delete(_records).where(old))
            mine = _logs.c.id == self._id
            connection.execute(update(_logs).where(mine).values(first_seq=before))
            return before - first

    def _poll(self) -> None:
        """Look where all logs of the database end, unless another reader here has just done so."""
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._polled.latest < POLL_MS:
            return
        self._polled.tell(now_ms)
        with _translated(self._name), self._database.watch() as connection:
            for name, last in connection.execute(_ALL_ENDS):
                self._database.signal(f"log {name}").tell(last)

    def _move_end(self, connection: Connection, by: int, expected_last: int | None) -> int:
        """Move the log's end, which also locks the log until the commit; return the new end."""
        move: dict[str, int] = {"of_log": self._id, "by": by}
        statement = _MOVE
        if expected_last is not None:
            move["expected_last"] = expected_last
            statement = _MOVE_FENCED
        moved = connection.execute(statement, move).scalar_one_or_none()
        if moved is None:
            _, last = self._ends(connection)
            raise Fenced(
                f"log {self._name}: expected to end at {expected_last}, but it ends at {last}"
            )
        return int(moved)

    def _row(self, seq: int, entry: Entry) -> dict[str, object]:
        record = Record(seq, entry.payload, entry.source, entry.dead_letter)
        return {
            "log": self._id,
            "seq": seq,
            "source": entry.source,
            "dead_letter": entry.dead_letter,
            "crc": _checksum(self._name, record),
            "payload": entry.payload,
        }

    def _ends(self, connection: Connection, *, for_update: bool = False) -> tuple[int, int]:
        query = _ENDS_LOCKED if for_update else _ENDS
        row = connection.execute(query, {"of_log": self._id}).one_or_none()
        if row is None:
            raise Corrupt(f"log {self._name}: its row of ends is gone")
        return row.first_seq, row.last_seq

    def _read(self, connection: Connection, after_seq: int, expected: int) -> list[Record]:
        """Return `expected` records, or fewer once READ_LIMIT_BYTES are passed."""
        asked = {"of_log": self._id, "after": after_seq, "at_most": expected}
        if expected > FEW:
            # A driver may fetch a whole answer at once, so that it must not be asked for too much.
            sizes = accumulate(connection.execute(_SIZES, asked).scalars())
            below = sum(size < READ_LIMIT_BYTES for size in sizes)
            expected = asked["at_most"] = min(expected, below + 1)
        records: list[Record] = []
        for seq, source, dead_letter, crc, payload in connection.execute(_READ, asked):
            record = Record(seq, bytes(payload), source, dead_letter)
            self._check(record, after_seq + len(records) + 1, crc)
            records.append(record)
        if len(records) < expected:
            missing = after_seq + len(records) + 1
            raise Corrupt(f"log {self._name}: record {missing} is missing")
        return records

    def _check(self, record: Record, expected_seq: int, crc: int) -> None:
        if record.seq != expected_seq:
            raise Corrupt(
                f"log {self._name}: record {expected_seq} is missing, "
                f"found {record.seq} in its place"
            )
        if _checksum(self._name, record) != crc:
            raise Corrupt(f"log {self._name}: record {record.seq} does not match its checksum")

    def _check_holds(self, connection: Connection, before: int) -> None:
        query = select(_holds.c.reader, _holds.c.seq).where(_holds.c.log == self._id)
        behind = connection.execute(query.order_by(_holds.c.seq).limit(1)).one_or_none()
        if behind is not None and behind.seq < before - 1:
            raise Held(
                f"log {self._name}: asked to drop all before {before}, "
                f"but {behind.reader} has stored only up to {behind.seq}"
            )


def _find_or_make(database: Database, name: str) -> int:
    query = select(_logs.c.id).where(_logs.c.name == name)
    with database.read() as connection:
        found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        return int(found)
    try:
        with database.write() as connection:
            found = connection.execute(query).scalar_one_or_none()
            if found is None:
                row = insert(_logs).values(name=name, first_seq=1, last_seq=0).returning(_logs.c.id)
                found = connection.execute(row).scalar_one()
            return int(found)
    except IntegrityError:  # another process made it between the look and the insert
        with database.read() as connection:
            return int(connection.execute(query).scalar_one())


def _checksum(name: str, record: Record) -> int:
    head = f"{name} {record.seq} {record.source} {record.dead_letter:d} "
    return zlib.crc32(record.payload, zlib.crc32(head.encode()))


def _check_size(name: str, entries: Sequence[Entry]) -> None:
    if not entries:
        raise ValueError(f"log {name}: an append needs at least one entry, found none")
    size = sum(len(entry.payload) for entry in entries)
    if size > APPEND_LIMIT_BYTES:
        raise ValueError(
            f"log {name}: an append holds at most {APPEND_LIMIT_BYTES} bytes, found {size}"
        )


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        damaged = _is_damaged(error.orig)
        kind = Corrupt if damaged else LogError
        raise kind(f"log {name}: the database failed: {error.orig}") from error
    except SQLAlchemyError as error:
        raise LogError(f"log {name}: the database failed: {error}") from error


def _is_damaged(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    return getattr(error, "sqlstate", None) in _DAMAGED
