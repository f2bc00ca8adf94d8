"""Writes that keep the greater of two rows, so that their order does not matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, case, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from services.profile import tables

Row = dict[str, Any]
"""One row by column name, as SQLAlchemy takes it."""

_RANKS: Mapping[str, tuple[str, ...]] = {
    tables.identifiers.name: ("arrival",),
    tables.attributes.name: ("as_of_ms", "arrival"),
    # `out` is the greater status: at equal times it wins.
    tables.consents.name: ("as_of_ms", "status", "arrival"),
    tables.preferences.name: ("as_of_ms", "arrival"),
    tables.catalog_items.name: ("arrival",),
    tables.schemas.name: ("arrival",),
}
"""What makes a row of these tables the greater one."""


def keep_greater(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows of a ranked table; each replaces the stored one where it ranks above it."""
    if rows:
        connection.execute(_ranked(connection.dialect.name, table.name), rows)


def add_up(connection: Connection, rows: Sequence[Row]) -> None:
    """Write profiles: the earlier creation stays, and the events are summed."""
    if rows:
        connection.execute(_summed(connection.dialect.name), rows)


def keep_first(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows whose key is not there yet."""
    if rows:
        statement = _insert(connection.dialect.name, table).on_conflict_do_nothing()
        connection.execute(statement, rows)


def replace(connection: Connection, table: Table, row: Row) -> None:
    """Write one row over whatever has its key."""
    statement = _insert(connection.dialect.name, table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in row if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), [row])


@cache
def _ranked(dialect: str, name: str) -> Insert:
    table = tables.metadata.tables[name]
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    rank = _RANKS[name]
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


@cache
def _summed(dialect: str) -> Insert:
    table = tables.profiles
    statement = _insert(dialect, table)
    new = statement.excluded
    earlier = new.create_ms < table.c.create_ms
    return statement.on_conflict_do_update(
        index_elements=["profile_id"],
        set_={
            "create_ms": case((earlier, new.create_ms), else_=table.c.create_ms),
            "event_count": table.c.event_count + new.event_count,
        },
    )


def _insert(dialect: str, table: Table) -> sqlite.Insert:
    if dialect == "postgresql":
        # The two constructs have the same methods, and no common type that says so.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)
