"""Identity's tables: its stage's snapshot, written after the facts, with the inbound position."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Executable,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    select,
    text,
)

from services.identity.domain.changes import (
    Assigned,
    Change,
    Divided,
    JournalEntry,
    Merged,
    Refused,
)
from services.identity.domain.graph import Graph
from services.identity.domain.log_time import LogTime
from services.identity.domain.namespaces import Identifier
from services.identity.state import Rules, State
from services.identity.waiting_tables import load_waiting, save_waiting
from services.identity.waiting_tables import metadata as waiting_metadata
from services.kit.sql import IN_LIMIT, MARKS, Database, in_marks_of
from services.kit.sql_stage import create_positions, move_position, take_epoch
from services.kit.upserts import write_tuples

STAGE = "identity"

_metadata = MetaData()

_profiles = Table(
    "profiles",
    _metadata,
    Column("profile_id", BigInteger, primary_key=True, autoincrement=False),
    Column("merged_into", BigInteger, nullable=False),
)

_identifiers = Table(
    "identifiers",
    _metadata,
    Column("namespace", String(64), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("profile_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

_separations = Table(
    "separations",
    _metadata,
    Column("namespace", String(64), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("other_namespace", String(64), primary_key=True),
    Column("other_value", String(256), primary_key=True),
    sqlite_with_rowid=False,
)
"""Pairs of identifiers that an un-merge holds apart, the lesser first."""

_inputs = Table(
    "inputs",
    _metadata,
    Column("kind", Integer, primary_key=True, autoincrement=False),
    Column("input_id", String(128), primary_key=True),
    sqlite_with_rowid=False,
)

_journal = Table(
    "journal",
    _metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("input_index", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("input_id", String(128), nullable=False),
    Column("log_time_ms", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("profile_id", BigInteger, nullable=False),
    Column("other_profile_id", BigInteger, nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("value", String(256), nullable=False),
    Column("reason", String(80), nullable=False),
    Index("journal_by_profile", "profile_id", "seq"),
)

_log_time = Table(
    "log_time",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("now_ms", BigInteger, nullable=False),
    Column("last_tick_ms", BigInteger, nullable=True),
)

_PUT_PROFILE = text(
    "INSERT INTO profiles (profile_id, merged_into) VALUES (:profile_id, :merged_into)"
    " ON CONFLICT (profile_id) DO UPDATE SET merged_into = excluded.merged_into"
)
_PUT_IDENTIFIER = text(
    "INSERT INTO identifiers (namespace, value, profile_id)"
    " VALUES (:namespace, :value, :profile_id)"
    " ON CONFLICT (namespace, value) DO UPDATE SET profile_id = excluded.profile_id"
)
_PUT_SEPARATION = text(
    "INSERT INTO separations (namespace, value, other_namespace, other_value)"
    " VALUES (:namespace, :value, :other_namespace, :other_value) ON CONFLICT DO NOTHING"
)
_DROP_SEPARATION = text(
    "DELETE FROM separations WHERE namespace = :namespace AND value = :value"
    " AND other_namespace = :other_namespace AND other_value = :other_value"
)
_DROP_IDENTIFIER = text("DELETE FROM identifiers WHERE namespace = :namespace AND value = :value")
_DROP_NAMED = text("DELETE FROM journal WHERE namespace = :namespace AND value = :value")
_DROP_JOURNAL = text("DELETE FROM journal WHERE profile_id = :profile_id")
_PUT_INPUT = _inputs.insert()
_PUT_LOG_TIME = text(
    "INSERT INTO log_time (id, now_ms, last_tick_ms) VALUES (1, :now_ms, :last_tick_ms)"
    " ON CONFLICT (id) DO UPDATE"
    " SET now_ms = excluded.now_ms, last_tick_ms = excluded.last_tick_ms"
)
_FIND_INPUTS = f"SELECT input_id FROM inputs WHERE kind = ? AND input_id IN ({MARKS})"  # noqa: S608  # marks alone


class IdentityStore:
    """The tables in one database; another owner of them is found out when it saves."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules
        self._position = 0
        self._epoch = 0
        database.create(_metadata)
        database.create(waiting_metadata)
        create_positions(database)

    def load(self) -> tuple[State, int]:
        """Become the owner; return the state and its inbound position."""
        graph = Graph(self._rules.partitions)
        with self._database.write() as connection:
            self._position, self._epoch = take_epoch(connection, STAGE, 0)
            graph.load_profiles(_tuples(connection, select(_profiles)))
            graph.load_identifiers(_tuples(connection, select(_identifiers)))
            graph.load_refusals(_refusals(connection))
            graph.separations.load(
                ((one, value), (other, other_value))
                for one, value, other, other_value in _tuples(connection, select(_separations))
            )
            waiting = load_waiting(connection, graph, self._rules.namespaces)
            row = connection.execute(select(_log_time)).one_or_none()
        time = LogTime(row.now_ms, row.last_tick_ms) if row is not None else LogTime()
        return State(self._rules, graph, time, waiting), self._position

    def save(self, state: State, position: int) -> None:
        """Write what changed since the last save, in one transaction with the position.

        Raises Fenced where another owner has been there.
        """
        with self._database.write() as connection:
            move_position(connection, STAGE, 0, self._position, position, self._epoch)
            _put_all(connection, _PUT_PROFILE, _profile_rows(state.graph))
            _put_all(connection, _PUT_IDENTIFIER, _identifier_rows(state.graph))
            if state.unsaved_erasures:
                _erase(connection, state)
            _put_all(connection, _PUT_SEPARATION, _separation_rows(state.graph, held=True))
            _put_all(connection, _DROP_SEPARATION, _separation_rows(state.graph, held=False))
            write_tuples(connection, _PUT_INPUT, ("kind", "input_id"), list(_input_rows(state)))
            _put_all(connection, _journal.insert(), map(_journal_row, state.unsaved_journal))
            save_waiting(connection, state.waiting)
            time = {"now_ms": state.time.now_ms, "last_tick_ms": state.time.last_tick_ms}
            connection.execute(_PUT_LOG_TIME, time)
        self._position = position

    def known_inputs(self, kind: int, input_ids: Collection[str]) -> set[str]:
        """Return those of the input ids that were applied before the last save."""
        known: set[str] = set()
        if not input_ids:
            return known
        remaining = iter(sorted(input_ids))
        with self._database.read() as connection:
            while chunk := list(islice(remaining, IN_LIMIT)):
                chunk += chunk[:1] * (IN_LIMIT - len(chunk))
                query = in_marks_of(connection, _FIND_INPUTS)
                known.update(connection.exec_driver_sql(query, (kind, *chunk)).scalars())
        return known

    def journal_of(self, profile_ids: Sequence[int], limit: int) -> list[JournalEntry]:
        """Return the newest `limit` entries of these profiles, oldest first."""
        key = (_journal.c.seq, _journal.c.input_index, _journal.c.number)
        entries: list[JournalEntry] = []
        with self._database.read() as connection:
            for start in range(0, len(profile_ids), IN_LIMIT):
                chunk = profile_ids[start : start + IN_LIMIT]
                query = select(_journal).where(_journal.c.profile_id.in_(chunk)).limit(limit)
                rows = connection.execute(query.order_by(*(column.desc() for column in key)))
                entries.extend(_entry(*row) for row in rows)
        return sorted(entries, key=lambda entry: entry.key)[-limit:]


def _put_all(
    connection: Connection, statement: Executable, rows: Iterable[dict[str, object]]
) -> None:
    parameters = list(rows)
    if parameters:
        connection.execute(statement, parameters)


def _tuples(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """Return the rows of a table without ever holding all of them."""
    return iter(connection.execute(query.execution_options(yield_per=10_000)))


def _refusals(connection: Connection) -> list[Refused]:
    columns = (_journal.c.profile_id, _journal.c.other_profile_id, _journal.c.reason)
    query = select(*columns).where(_journal.c.kind == "refused")
    return [Refused(*row) for row in connection.execute(query)]


def _profile_rows(graph: Graph) -> Iterator[dict[str, object]]:
    for profile_id in graph.touched_profiles:
        yield {"profile_id": profile_id, "merged_into": graph.redirect_of(profile_id)}


def _identifier_rows(graph: Graph) -> Iterator[dict[str, object]]:
    # In key order, so that neighbours in the table are written together.
    for identifier in sorted(graph.touched_identifiers):
        holder = graph.holder(identifier)
        if holder is not None:
            yield {"namespace": identifier[0], "value": identifier[1], "profile_id": holder}


def _erase(connection: Connection, state: State) -> None:
    """Remove the identifiers that nobody has any more, and what the journal says of the erased.

    It comes before what has happened since is written: that may be of the same identifiers.
    """
    nobodys = [one for one in state.graph.touched_identifiers if state.graph.holder(one) is None]
    _put_all(connection, _DROP_IDENTIFIER, map(_named, sorted(nobodys)))
    for erased in state.unsaved_erasures:
        _put_all(connection, _DROP_NAMED, map(_named, sorted(erased.identifiers)))
        numbers: list[dict[str, object]] = [{"profile_id": each} for each in erased.profile_ids]
        _put_all(connection, _DROP_JOURNAL, numbers)


def _named(identifier: Identifier) -> dict[str, object]:
    return {"namespace": identifier[0], "value": identifier[1]}


def _separation_rows(graph: Graph, *, held: bool) -> Iterator[dict[str, object]]:
    """Yield the pairs that changed, those that are held apart by now or those that are not."""
    for pair in sorted(graph.separations.touched):
        if graph.separations.holds(pair) is held:
            (namespace, value), (other_namespace, other_value) = pair
            yield {
                "namespace": namespace,
                "value": value,
                "other_namespace": other_namespace,
                "other_value": other_value,
            }


def _input_rows(state: State) -> Iterator[tuple[object, ...]]:
    for kind, input_ids in state.unsaved_inputs.items():
        for input_id in sorted(input_ids):
            yield kind, input_id


def _journal_row(entry: JournalEntry) -> dict[str, object]:
    kind, profile_id, other, identifier, reason = _columns(entry.change)
    return {
        "seq": entry.seq,
        "input_index": entry.index,
        "number": entry.number,
        "input_id": entry.input_id,
        "log_time_ms": entry.log_time_ms,
        "kind": kind,
        "profile_id": profile_id,
        "other_profile_id": other,
        "namespace": identifier[0],
        "value": identifier[1],
        "reason": reason,
    }


def _columns(change: Change) -> tuple[str, int, int, tuple[str, str], str]:
    match change:
        case Assigned(profile_id, identifier, former):
            return "assigned", profile_id, former, identifier, ""
        case Merged(profile_id, loser):
            return "merged", profile_id, loser, ("", ""), ""
        case Refused(profile_id, other, reason):
            return "refused", profile_id, other, ("", ""), reason
        case Divided(profile_id, created):
            return "divided", profile_id, created, ("", ""), ""


def _entry(  # one row, column by column
    seq: int, index: int, number: int, input_id: str, log_time_ms: int, *change: Any
) -> JournalEntry:
    return JournalEntry(seq, index, number, input_id, log_time_ms, _change(*change))


def _change(  # noqa: PLR0913, PLR0917  # the same
    kind: str, profile_id: int, other: int, namespace: str, value: str, reason: str
) -> Change:
    if kind == "assigned":
        return Assigned(profile_id, (namespace, value), other)
    if kind == "merged":
        return Merged(profile_id, other)
    if kind == "divided":
        return Divided(profile_id, other)
    return Refused(profile_id, other, reason)
