"""Writes that keep the greater, or the first, of two rows with one key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from services.messaging import tables

Row = dict[str, Any]
"""One row by column name, as SQLAlchemy takes it."""

CHUNK = 500
"""Values of one `IN`: below the number of parameters that any build of SQLite takes."""

_RANKS: Mapping[str, tuple[str, ...]] = {
    tables.attributes.name: ("as_of_ms", "arrival"),
    # `out` is the greater status: at equal times it wins.
    tables.consents.name: ("as_of_ms", "status", "arrival"),
    tables.preferences.name: ("as_of_ms", "arrival"),
    tables.catalog_items.name: ("arrival",),
}


def keep_greater(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write rows of a ranked table; each replaces the stored one where it ranks above it."""
    if rows:
        connection.execute(_ranked(connection.dialect.name, table.name), rows)


def keep_first(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows whose key is not there yet."""
    if rows:
        connection.execute(_first(connection.dialect.name, table.name), rows)


def replace(connection: Connection, table: Table, row: Row) -> None:
    """Write one row over whatever has its key."""
    connection.execute(_replacing(connection.dialect.name, table.name, tuple(row)), [row])


def chunks(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Return the values in parts of which each fits into one `IN`."""
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


@cache
def _first(dialect: str, name: str) -> Insert:
    return _insert(dialect, tables.metadata.tables[name]).on_conflict_do_nothing()


@cache
def _replacing(dialect: str, name: str, columns: tuple[str, ...]) -> Insert:
    table = tables.metadata.tables[name]
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    others = {each: statement.excluded[each] for each in columns if each not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


@cache
def _ranked(dialect: str, name: str) -> Insert:
    table = tables.metadata.tables[name]
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    rank = _RANKS[name]
    above = tuple_(*(statement.excluded[part] for part in rank)) > tuple_(
        *(table.c[part] for part in rank)
    )
    return statement.on_conflict_do_update(
        index_elements=keys, set_={each: statement.excluded[each] for each in others}, where=above
    )


def _insert(dialect: str, table: Table) -> sqlite.Insert:
    if dialect == "postgresql":
        # The two constructs have the same methods, and no common type that says so.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)
