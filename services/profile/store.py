"""Reads of the projection. Each opens one read transaction, and so sees one state."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, tuple_

from coterie.type.v1 import schema_pb2
from services.kit.sql import Database
from services.profile import domain, tables


def read_schema(connection: Connection) -> schema_pb2.Schema:
    """Return the schema as the tables have it; empty where nothing was declared."""
    stored = connection.execute(select(tables.schemas.c.schema)).scalar_one_or_none()
    return schema_pb2.Schema.FromString(stored or b"")


class ProfileStore:
    """What the tables say. May be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def destination(self, profile_id: int) -> int:
        """Return the profile that this one is part of, or is to be once it has arrived there."""
        table = tables.departures
        with self._database.read() as connection:
            while True:
                profile_id = _current_id(connection, profile_id)
                query = select(table.c.into_id).where(table.c.profile_id == profile_id)
                into = connection.execute(query).scalar_one_or_none()
                if into is None:
                    return profile_id
                profile_id = into

    def nameable(self, profile_id: int) -> int:
        """Return the profile that this one is part of, also one that is erased; 0 for nobody."""
        with self._database.read() as connection:
            profile_id = _current_id(connection, profile_id)
            table = tables.erasures
            query = select(table.c.profile_id).where(table.c.profile_id == profile_id)
            erased = connection.execute(query).scalar_one_or_none() is not None
            return profile_id if erased or _exists(connection, profile_id) else 0

    def find(self, profile_id: int) -> domain.Profile | None:
        """Return the profile with this id, or the one that it was merged into."""
        with self._database.read() as connection:
            profile_id = _current_id(connection, profile_id)
            table = tables.profiles
            row = connection.execute(
                select(table).where(table.c.profile_id == profile_id)
            ).one_or_none()
            if row is None:
                return None
            return domain.Profile(
                profile_id=profile_id,
                identities=_identities(connection, profile_id),
                attributes=_attributes(connection, profile_id),
                consents=_consents(connection, profile_id),
                preferred_channel=_preferred(connection, profile_id),
                event_count=_event_count(connection, profile_id),
                create_ms=row.create_ms,
                merged_profile_ids=_merged(connection, profile_id),
            )

    def list_events(
        self, profile_id: int, types: Sequence[str], before: domain.Moment | None, limit: int
    ) -> list[domain.TimelineEvent] | None:
        """Return up to `limit` events before `before`, the latest first; None for nobody."""
        table = tables.timeline
        place = (table.c.occurred_ms, table.c.received_ms, table.c.event_id)
        with self._database.read() as connection:
            profile_id = _current_id(connection, profile_id)
            if not _exists(connection, profile_id):
                return None
            query = select(*place, table.c.event).where(table.c.profile_id == profile_id)
            if types:
                query = query.where(table.c.type.in_(types))
            if before is not None:
                key = (before.occurred_ms, before.received_ms, before.event_id)
                query = query.where(tuple_(*place) < key)
            query = query.order_by(*(column.desc() for column in place)).limit(limit)
            return [
                domain.TimelineEvent(
                    domain.Moment(row.occurred_ms, row.received_ms, row.event_id), row.event
                )
                for row in connection.execute(query)
            ]

    def schema(self) -> schema_pb2.Schema:
        """Return the schema, names in order of declaration."""
        with self._database.read() as connection:
            return read_schema(connection)


def _current_id(connection: Connection, profile_id: int) -> int:
    table = tables.redirects
    found = connection.execute(
        select(table.c.target_id).where(table.c.profile_id == profile_id)
    ).scalar_one_or_none()
    return profile_id if found is None else found


def _exists(connection: Connection, profile_id: int) -> bool:
    table = tables.profiles
    found = connection.execute(
        select(table.c.profile_id).where(table.c.profile_id == profile_id)
    ).scalar_one_or_none()
    return found is not None


def _event_count(connection: Connection, profile_id: int) -> int:
    """Count in the index: a number kept for each profile would cost a write for each event."""
    table = tables.timeline
    query = select(func.count()).where(table.c.profile_id == profile_id)
    return connection.execute(query).scalar_one()


def _identities(connection: Connection, profile_id: int) -> tuple[domain.Identity, ...]:
    table = tables.identifiers
    rows = connection.execute(
        select(table.c.namespace, table.c.value)
        .where(table.c.profile_id == profile_id)
        .order_by(table.c.namespace, table.c.value)
    )
    return tuple(domain.Identity(row.namespace, row.value) for row in rows)


def _attributes(connection: Connection, profile_id: int) -> tuple[domain.Attribute, ...]:
    table = tables.attributes
    rows = connection.execute(
        select(table)
        .where(table.c.profile_id == profile_id)
        .order_by(table.c.name, table.c.as_of_ms, table.c.arrival)
    )
    effective = {row.name: row for row in rows}
    # A cleared attribute keeps its row, so that an older value does not come back.
    return tuple(
        domain.Attribute(row.name, row.value, row.as_of_ms, row.change_id)
        for row in effective.values()
        if row.value
    )


def _consents(connection: Connection, profile_id: int) -> tuple[domain.Consent, ...]:
    table = tables.consents
    rows = connection.execute(
        select(table)
        .where(table.c.profile_id == profile_id)
        .order_by(table.c.channel, table.c.as_of_ms, table.c.status, table.c.arrival)
    )
    effective = {row.channel: row for row in rows}
    return tuple(
        domain.Consent(row.channel, row.status, row.as_of_ms, row.change_id)
        for row in effective.values()
    )


def _preferred(connection: Connection, profile_id: int) -> int:
    table = tables.preferences
    found = connection.execute(
        select(table.c.channel)
        .where(table.c.profile_id == profile_id)
        .order_by(table.c.as_of_ms.desc(), table.c.arrival.desc())
        .limit(1)
    ).scalar_one_or_none()
    return found or 0


def _merged(connection: Connection, profile_id: int) -> tuple[int, ...]:
    table = tables.redirects
    rows = connection.execute(
        select(table.c.profile_id)
        .where(table.c.target_id == profile_id)
        .order_by(table.c.profile_id)
    )
    return tuple(rows.scalars())
