"""Profiles that became part of others: who they are now, and where their rows go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from services.kit.sql import IN_LIMIT, MARKS, chunks, in_marks_of
from services.kit.upserts import Row, keep_first, keep_greater
from services.profile import tables
from services.profile.upserts import keep_earliest

_ANY_REDIRECT = select(tables.redirects.c.profile_id).limit(1)
_FIND_REDIRECTS = f"SELECT profile_id, target_id FROM redirects WHERE profile_id IN ({MARKS})"  # noqa: S608  # marks alone
_RANKED = (tables.attributes, tables.consents, tables.preferences)
_MOVED = (tables.timeline, tables.identifiers)


def follow(redirects: Mapping[int, int], profile_id: int) -> int:
    """Return the profile that `profile_id` is part of now.

    >>> follow({1: 2, 2: 3}, 1)
    3
    """
    while (target := redirects.get(profile_id)) is not None:
        profile_id = target
    return profile_id


def unite(redirects: dict[int, int], merges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Add merges (the merged profile, the one that remains) to `redirects`.

    Returns where the rows of each profile go that is no more because of them.

    >>> unite({}, [(1, 2), (2, 3)])
    {1: 3, 2: 3}
    """
    moved = []
    for merged, remaining in merges:
        source, target = follow(redirects, merged), follow(redirects, remaining)
        if source != target:
            redirects[source] = target
            moved.append(source)
    return {profile_id: follow(redirects, profile_id) for profile_id in moved}


def find_redirects(connection: Connection, profile_ids: Collection[int]) -> dict[int, int]:
    """Return the stored redirects of those profiles that are no more."""
    found: dict[int, int] = {}
    if connection.execute(_ANY_REDIRECT).first() is None:
        return found
    query = in_marks_of(connection, _FIND_REDIRECTS)
    for chunk in chunks(profile_ids):
        marked = (*chunk, *[chunk[0]] * (IN_LIMIT - len(chunk)))
        rows = connection.exec_driver_sql(query, marked)
        found.update((row.profile_id, row.target_id) for row in rows)
    return found


def move_rows(connection: Connection, moved: Mapping[int, int]) -> None:
    """Give the rows of each profile in `moved` to the one it went to, and keep the redirects.

    Former redirects to it are shortened, so that a stored one always leads to a living profile.
    """
    for table in _RANKED:
        keep_greater(connection, table, _taken(connection, table, moved))
    keep_earliest(connection, _taken(connection, tables.profiles, moved))
    changes = [{"merged": merged, "remaining": target} for merged, target in moved.items()]
    for table in _MOVED:
        connection.execute(
            update(table)
            .where(table.c.profile_id == bindparam("merged"))
            .values(profile_id=bindparam("remaining")),
            changes,
        )
    redirects = tables.redirects
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
