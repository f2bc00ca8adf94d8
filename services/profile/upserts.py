"""The write of profiles, which adds up: its order does not matter either."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, case
from sqlalchemy.sql.dml import Insert

from services.kit.upserts import Row, upsert, write_all
from services.profile import tables


def add_up(connection: Connection, rows: Sequence[Row]) -> None:
    """Write profiles: the earlier creation stays, and the events are summed."""
    write_all(connection, _summed(connection.dialect.name), rows)


@cache
def _summed(dialect: str) -> Insert:
    table = tables.profiles
    statement = upsert(dialect, table)
    new = statement.excluded
    earlier = new.create_ms < table.c.create_ms
    return statement.on_conflict_do_update(
        index_elements=["profile_id"],
        set_={
            "create_ms": case((earlier, new.create_ms), else_=table.c.create_ms),
            "event_count": table.c.event_count + new.event_count,
        },
    )
