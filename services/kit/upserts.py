"""Writes that find a row with their key already there: the first, the last or the greater stays.

By the same text on SQLite and PostgreSQL. What makes a row the greater one stands with its table:
`Table(..., info={RANK: ("as_of_ms", "arrival")})`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

RANK = "rank"
"""Names, in a table's `info`, the columns by which rows of one key are compared, first to last."""

PARAMETERS = 900
"""Values of one statement: below the number of parameters that any build of SQLite takes."""

_SQLITE = sqlite.dialect()

Row = dict[str, Any]
"""One row by column name, as SQLAlchemy takes it."""


def write_all(connection: Connection, statement: Insert, rows: Sequence[Row]) -> None:
    """Run an insert for each row; all have the same columns.

    SQLite is handed plain tuples: making ready what is bound costs SQLAlchemy as much as writing
    it costs SQLite. No column of ours needs more than the driver's own types.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(statement, rows)
        return
    names = tuple(rows[0])
    values_of = itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
    write_tuples(connection, statement, names, [values_of(row) for row in rows])


def write_tuples(
    connection: Connection,
    statement: Insert,
    names: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Run an insert for each row, whose values are those of the columns `names`, in that order.

    SQLite takes many rows a statement: to begin one costs it more than a row.
    """
    if not rows:
        return
    if connection.dialect.name != "sqlite":
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])
        return
    many = PARAMETERS // len(names)
    whole = len(rows) // many * many
    for start in range(0, whole, many):
        values = tuple(chain.from_iterable(rows[start : start + many]))
        connection.exec_driver_sql(_plain(statement, names, many), values)
    if whole < len(rows):
        connection.exec_driver_sql(_plain(statement, names, 1), list(rows[whole:]))


def keep_first(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows whose key is not there yet."""
    write_all(connection, _ignoring(connection.dialect.name, table), rows)


def keep_last(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write rows over whatever has their keys; all have the same columns."""
    if rows:
        write_all(connection, _replacing(connection.dialect.name, table, tuple(rows[0])), rows)


def keep_greater(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write whole rows of a ranked table; each replaces the stored one where it ranks above it.

    So the order of writing does not matter.
    """
    write_all(connection, _ranked(connection.dialect.name, table), rows)


def upsert(dialect: str, table: Table) -> sqlite.Insert:
    """Return an insert that can say what to do about a row that is there."""
    if dialect == "postgresql":
        # The two constructs have the same methods, and no common type that says so.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)


@cache
def _plain(statement: Insert, names: tuple[str, ...], count: int) -> str:
    """Return the text for the driver, of an insert of so many rows with values in this order."""
    compiled = statement.compile(dialect=_SQLITE, column_keys=list(names))
    columns = ", ".join(compiled.positiontup or ())
    row = f"({', '.join('?' * len(names))})"
    wanted = f"({', '.join(names)}) VALUES {', '.join([row] * count)}"
    return str(compiled).replace(f"({columns}) VALUES {row}", wanted, 1)


@cache
def _ignoring(dialect: str, table: Table) -> Insert:
    return upsert(dialect, table).on_conflict_do_nothing()


@cache
def _replacing(dialect: str, table: Table, names: tuple[str, ...]) -> Insert:
    statement = upsert(dialect, table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


@cache
def _ranked(dialect: str, table: Table) -> Insert:
    statement = upsert(dialect, table)
    keys = [column.name for column in table.primary_key]
    rank: tuple[str, ...] = table.info[RANK]
    return statement.on_conflict_do_update(
        index_elements=keys,
        set_={
            column.name: statement.excluded[column.name]
            for column in table.columns
            if column.name not in keys
        },
        where=tuple_(*(statement.excluded[part] for part in rank))
        > tuple_(*(table.c[part] for part in rank)),
    )
