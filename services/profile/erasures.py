"""People who are no more: what the tables hold of them goes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete

from services.kit.upserts import keep_first
from services.profile import tables

_PERSONAL = (
    tables.identifiers,
    tables.attributes,
    tables.consents,
    tables.preferences,
    tables.timeline,
    tables.profiles,
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """Nothing is kept of this profile; no fact is about it from then on."""

    profile_id: int
    log_time_ms: int


def remove_rows(connection: Connection, erasure: Erasure) -> None:
    """Remove all rows of the person, and keep that they were.

    SQLite overwrites what they held, and does not only mark its place as free.
    """
    on_sqlite = connection.dialect.name == "sqlite"
    if on_sqlite:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    for table in _PERSONAL:
        connection.execute(delete(table).where(table.c.profile_id == erasure.profile_id))
    if on_sqlite:
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")
    row = {"profile_id": erasure.profile_id, "erase_ms": erasure.log_time_ms}
    keep_first(connection, tables.erasures, [row])
