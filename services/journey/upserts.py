"""Writes over what has the same key, in both dialects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from services.journey import tables

Row = dict[str, Any]


def replace_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write whole rows over whatever has their keys."""
    if rows:
        connection.execute(_replacing(connection.dialect.name, table.name), rows)


def keep_first(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows whose key is not there yet."""
    if rows:
        statement = _insert(connection.dialect.name, table).on_conflict_do_nothing()
        connection.execute(statement, rows)


@cache
def _replacing(dialect: str, name: str) -> Insert:
    table = tables.metadata.tables[name]
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    others = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


def _insert(dialect: str, table: Table) -> sqlite.Insert:
    if dialect == "postgresql":
        # The two constructs have the same methods, and no common type that says so.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)
