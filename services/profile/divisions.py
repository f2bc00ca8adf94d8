"""Profiles that come apart: what came with some identifiers is a new profile's from then on."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, update

from services.kit.sql import chunks
from services.profile import tables
from services.profile.upserts import keep_earliest

_DIVIDED = (tables.attributes, tables.consents, tables.preferences)


@dataclass(frozen=True, slots=True)
class Division:
    """`came_with` is of which identifiers all goes from one profile to a new one."""

    profile_id: int
    new_profile_id: int
    came_with: tuple[str, ...]
    log_time_ms: int


def move_rows(connection: Connection, division: Division) -> None:
    """Give the new profile its rows. All that is said before the division is written by now.

    Who leaves for another partition is handed over only then: no partition is behind with it.
    """
    former, created = division.profile_id, division.new_profile_id
    for chunk in chunks(division.came_with):
        for table in (*_DIVIDED, tables.timeline):
            mine = (table.c.profile_id == former) & table.c.came_with.in_(chunk)
            connection.execute(update(table).where(mine).values(profile_id=created))
    keep_earliest(connection, [{"profile_id": created, "create_ms": division.log_time_ms}])
