"""Writes that find a row with their key already there: the first, the last or the greater stays.

By the same text on SQLite and PostgreSQL. What makes a row the greater one stands with its table:
`Table(..., info={RANK: ("as_of_ms", "arrival")})`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

RANK = "rank"
"""Names, in a table's `info`, the columns by which rows of one key are compared, first to last."""

Row = dict[str, Any]
"""One row by column name, as SQLAlchemy takes it."""


def keep_first(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows whose key is not there yet."""
    if rows:
        statement = upsert(connection.dialect.name, table).on_conflict_do_nothing()
        connection.execute(statement, rows)


def keep_last(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write rows over whatever has their keys; all have the same columns."""
    if rows:
        connection.execute(_replacing(connection.dialect.name, table, tuple(rows[0])), rows)


def keep_greater(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write whole rows of a ranked table; each replaces the stored one where it ranks above it.

    So the order of writing does not matter.
    """
    if rows:
        connection.execute(_ranked(connection.dialect.name, table), rows)


def upsert(dialect: str, table: Table) -> sqlite.Insert:
    """Return an insert that can say what to do about a row that is there."""
    if dialect == "postgresql":
        # The two constructs have the same methods, and no common type that says so.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)


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
