"""The tables of what is on its way across partitions and of what waits: part of the snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    insert,
    select,
)

from services.identity.domain.graph import Graph
from services.identity.domain.namespaces import Namespaces
from services.identity.domain.transit import Crossing, Transit, Waiting
from services.identity.packs import parked_input

Row = dict[str, object]

metadata = MetaData()

_transits = Table(
    "transits",
    metadata,
    Column("merge_id", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("input_index", Integer, nullable=False),
    Column("winner", BigInteger, nullable=False),
    Column("loser", BigInteger, nullable=False),
    Column("input_id", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
)

_handoffs = Table(
    "handoffs",
    metadata,
    Column("merge_id", String(64), primary_key=True),
    Column("service", String(64), primary_key=True),
    Column("state", LargeBinary, nullable=False),
)

_parked = Table(
    "parked_inputs",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("input_index", Integer, primary_key=True, autoincrement=False),
    Column("stamp_ms", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)


def load_waiting(connection: Connection, graph: Graph, namespaces: Namespaces) -> Waiting:
    """Return what waits, given the graph as it stands."""
    handoffs: dict[str, dict[str, bytes]] = {}
    for row in connection.execute(select(_handoffs)):
        handoffs.setdefault(row.merge_id, {})[row.service] = bytes(row.state)
    transits = [
        Transit(
            row.merge_id,
            (row.seq, row.input_index),
            Crossing(row.winner, row.loser),
            row.input_id,
            row.traceparent,
            handoffs.get(row.merge_id, {}),
        )
        for row in connection.execute(select(_transits))
    ]
    parked = [
        parked_input((row.seq, row.input_index), row.stamp_ms, bytes(row.content), namespaces)
        for row in connection.execute(select(_parked))
    ]
    waiting = Waiting()
    waiting.load(graph, transits, parked)
    return waiting


def save_waiting(connection: Connection, waiting: Waiting) -> None:
    """Write what changed since the last save."""
    merges: list[Row] = [{"key": merge_id} for merge_id in waiting.touched_transits]
    places: list[Row] = [{"key": seq, "key_index": index} for seq, index in waiting.touched_parked]
    _drop(connection, _transits, merges)
    _drop(connection, _handoffs, merges)
    _drop(connection, _parked, places)
    moving = [
        waiting.transits[merge_id]
        for merge_id in waiting.touched_transits
        if merge_id in waiting.transits
    ]
    _insert(connection, _transits, map(_transit_row, moving))
    _insert(connection, _handoffs, (row for transit in moving for row in _handoff_rows(transit)))
    kept = (place for place in waiting.touched_parked if place in waiting.parked)
    _insert(
        connection,
        _parked,
        (
            {
                "seq": place[0],
                "input_index": place[1],
                "stamp_ms": waiting.parked[place].stamp_ms,
                "content": waiting.parked[place].content,
            }
            for place in kept
        ),
    )


def _transit_row(transit: Transit) -> Row:
    return {
        "merge_id": transit.merge_id,
        "seq": transit.begun[0],
        "input_index": transit.begun[1],
        "winner": transit.crossing.winner,
        "loser": transit.crossing.loser,
        "input_id": transit.input_id,
        "traceparent": transit.traceparent,
    }


def _handoff_rows(transit: Transit) -> list[Row]:
    return [
        {"merge_id": transit.merge_id, "service": service, "state": state}
        for service, state in transit.handoffs.items()
    ]


def _drop(connection: Connection, table: Table, keys: Sequence[Row]) -> None:
    """Drop the rows of these keys: what is still to be there is written anew."""
    if not keys:
        return
    if table is _parked:
        mine = and_(table.c.seq == bindparam("key"), table.c.input_index == bindparam("key_index"))
    else:
        mine = and_(table.c.merge_id == bindparam("key"))
    connection.execute(delete(table).where(mine), keys)


def _insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    stored = list(rows)
    if stored:
        connection.execute(insert(table), stored)
