"""The write of profiles: of two creations the earlier stays, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Insert

from services.kit.upserts import Row, upsert, write_all
from services.profile import tables


def keep_earliest(connection: Connection, rows: Sequence[Row]) -> None:
    """Write profiles; of one that is there nothing is written, unless it was made earlier."""
    write_all(connection, _earliest(connection.dialect.name), rows)


@cache
def _earliest(dialect: str) -> Insert:
    table = tables.profiles
    statement = upsert(dialect, table)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["profile_id"],
        set_={"create_ms": new.create_ms},
        where=new.create_ms < table.c.create_ms,
    )
