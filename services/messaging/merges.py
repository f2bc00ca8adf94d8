"""People who became part of others: who they are now, and where their rows go."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from services.kit.ids import partition_of
from services.kit.sql import chunks
from services.kit.upserts import Row, keep_first, keep_greater
from services.messaging import tables
from services.messaging.facts import Merge

_RANKED = (tables.attributes, tables.consents, tables.preferences)


def follow(redirects: Mapping[int, int], profile_id: int) -> int:
    """Return the profile that `profile_id` is part of now.

    >>> follow({1: 2, 2: 3}, 1)
    3
    """
    while (target := redirects.get(profile_id)) is not None:
        profile_id = target
    return profile_id


def find_redirects(connection: Connection, profile_ids: Collection[int]) -> dict[int, int]:
    """Return the stored redirects of those profiles that are no more."""
    table = tables.redirects
    found: dict[int, int] = {}
    for chunk in chunks(profile_ids):
        rows = connection.execute(
            select(table.c.profile_id, table.c.target_id).where(table.c.profile_id.in_(chunk))
        )
        found.update((row.profile_id, row.target_id) for row in rows)
    return found


def current_id(connection: Connection, profile_id: int) -> int:
    """Return who a profile is now."""
    return follow(find_redirects(connection, [profile_id]), profile_id)


def unite(redirects: dict[int, int], merges: Sequence[Merge]) -> dict[int, int]:
    """Add the merges to `redirects`; return where the rows of each merged profile go.

    >>> unite({}, [Merge(1, 2, 0), Merge(2, 3, 0)])
    {1: 3, 2: 3}
    """
    moved = []
    for merge in merges:
        target = follow(redirects, merge.remaining)
        for each in (merge.merged, merge.guest):
            source = follow(redirects, each)
            if source and source != target:
                redirects[source] = target
                moved.append(source)
    return {profile_id: follow(redirects, profile_id) for profile_id in moved}


def move_rows(connection: Connection, moved: Mapping[int, int]) -> None:
    """Give the rows of each profile in `moved` to the one it went to, and keep the redirects.

    Stored redirects are shortened, so that each leads to a living profile. What waited for an
    arrival in another partition is that partition's from here on.
    """
    for table in _RANKED:
        keep_greater(connection, table, _taken(connection, table, moved))
    engaged = _taken(connection, tables.engagement, moved)
    keep_first(connection, tables.engagement, engaged)
    changes = [
        {"merged": merged, "remaining": target, "number": partition_of(target)}
        for merged, target in moved.items()
    ]
    messages, redirects = tables.messages, tables.redirects
    connection.execute(
        update(messages)
        .where(messages.c.profile_id == bindparam("merged"))
        .values(profile_id=bindparam("remaining"), partition=bindparam("number")),
        changes,
    )
    connection.execute(
        update(redirects)
        .where(redirects.c.target_id == bindparam("merged"))
        .values(target_id=bindparam("remaining")),
        changes,
    )
    rows = [{"profile_id": merged, "target_id": target} for merged, target in moved.items()]
    keep_first(connection, redirects, rows)


def _taken(connection: Connection, table: Table, moved: Mapping[int, int]) -> list[Row]:
    rows: list[Row] = []
    for chunk in chunks(moved):
        mine = table.c.profile_id.in_(chunk)
        rows.extend(dict(row) for row in connection.execute(select(table).where(mine)).mappings())
        connection.execute(delete(table).where(mine))
    for row in rows:
        row["profile_id"] = moved[row["profile_id"]]
    return rows
