"""Who people are: profiles that became part of others, and those who leave the partition."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from services.journey import tables
from services.kit.upserts import keep_first

_redirects = tables.redirects
_departures = tables.departures


def keep_redirect(connection: Connection, loser: int, winner: int) -> None:
    """Note that a profile is part of another one; former redirects to it lead there at once."""
    connection.execute(
        update(_redirects).where(_redirects.c.target_id == loser).values(target_id=winner)
    )
    keep_first(connection, _redirects, [{"profile_id": loser, "target_id": winner}])


def current_id(connection: Connection, profile_id: int) -> int:
    """Return the profile that this one is part of now: mostly itself."""
    found = connection.execute(
        select(_redirects.c.target_id).where(_redirects.c.profile_id == profile_id)
    ).scalar_one_or_none()
    return profile_id if found is None else found


def keep_departure(connection: Connection, partition: int, profile_id: int, merge_id: str) -> None:
    """Note that a person leaves the partition, and has yet to be handed over."""
    row = {
        "profile_id": profile_id,
        "partition": partition,
        "merge_id": merge_id,
        "handed_over": False,
    }
    keep_first(connection, _departures, [row])


def departed(connection: Connection, partition: int) -> set[int]:
    """Return who has left the partition."""
    rows = connection.execute(
        select(_departures.c.profile_id).where(_departures.c.partition == partition)
    )
    return set(rows.scalars())


def not_handed_over(connection: Connection, partition: int) -> list[str]:
    """Return the merges of which the log may not know yet that journey is done with the person."""
    rows = connection.execute(
        select(_departures.c.merge_id)
        .where(_departures.c.partition == partition, _departures.c.handed_over.is_(False))
        .order_by(_departures.c.merge_id)
    )
    return list(rows.scalars())


def note_handed_over(connection: Connection, partition: int, merge_ids: list[str]) -> None:
    """Note that the log has these handoffs."""
    for merge_id in merge_ids:
        connection.execute(
            update(_departures)
            .where(_departures.c.partition == partition, _departures.c.merge_id == merge_id)
            .values(handed_over=True)
        )
