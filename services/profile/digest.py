"""A digest of all that the projection holds, for the proof that a replay gives the same."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, Table, select

from coterie.type.v1.event_pb2 import Event
from services.kit.sql import Database
from services.profile import tables


def state_hash(database: Database) -> str:
    """Return a hex digest of all tables, in the order of their keys; reads them whole.

    It does not depend on pack sizes, restarts, the order of insertion, or that of properties.
    """
    digest = hashlib.blake2b(digest_size=16)
    with database.read() as connection:
        for table in tables.CONTENT:
            _add(connection, table, digest)
    return digest.hexdigest()


def _add(connection: Connection, table: Table, digest: hashlib.blake2b) -> None:
    columns = [column for column in table.columns if column is not tables.timeline.c.number]
    order = [column for column in columns if column.primary_key]
    if table is tables.timeline:
        order = [table.c.profile_id, table.c.event_id]
    digest.update(f"{table.name}\n".encode())
    for row in connection.execute(select(*columns).order_by(*order)):
        for column, value in zip(columns, row, strict=True):
            content = value if isinstance(value, bytes) else str(value).encode()
            if column is tables.timeline.c.event:
                content = Event.FromString(content).SerializeToString(deterministic=True)
            digest.update(b"%d:" % len(content) + content)
