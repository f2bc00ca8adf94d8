"""Reads of the tables. Each opens one read transaction, and so sees one state.

Every partition has every version; the first one is read, once all have come as far.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, Select, func, select, tuple_

from coterie.log.v1 import definition_pb2
from services.journey import codec, tables
from services.journey.domain.instance import Instance
from services.journey.people import current_id
from services.kit.sql import Database

_versions = tables.versions
_instances = tables.instances
_first = _versions.c.partition == 0


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version as it is live, or was."""

    publication: definition_pb2.JourneyPublication
    request_id: str
    publish_ms: int
    inbound_seq: int
    open: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which instances to list, the latest entry first: `before` is the place of the last one."""

    journey_id: str
    profile_id: int | None
    live_only: bool
    before: tuple[int, str] | None
    limit: int


class JourneyStore:
    """What the tables say. May be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self, journey_id: str, version: int = 0) -> StoredVersion | None:
        """Return one version, or the newest; None where there is none."""
        query = select(_versions).where(_first, _versions.c.journey_id == journey_id)
        if version:
            query = query.where(_versions.c.version == version)
        query = query.order_by(_versions.c.version.desc()).limit(1)
        return self._one_version(query)

    def version_by_request(self, request_id: str) -> StoredVersion | None:
        """Return the version that a request has published."""
        return self._one_version(
            select(_versions).where(_first, _versions.c.request_id == request_id)
        )

    def newest_versions(self, after: str, limit: int) -> list[StoredVersion]:
        """Return the newest version of up to `limit` journeys after this id, by id."""
        newest = (
            select(_versions.c.journey_id, func.max(_versions.c.version).label("version"))
            .where(_first, _versions.c.journey_id > after)
            .group_by(_versions.c.journey_id)
            .order_by(_versions.c.journey_id)
            .limit(limit)
            .subquery()
        )
        query = (
            select(_versions)
            .join(
                newest,
                (newest.c.journey_id == _versions.c.journey_id)
                & (newest.c.version == _versions.c.version),
            )
            .where(_first)
            .order_by(_versions.c.journey_id)
        )
        with self._database.read() as connection:
            return [_stored(row) for row in connection.execute(query).mappings()]

    def instance(self, journey_id: str, instance_id: str) -> Instance | None:
        """Return one instance; None where the journey has none of that id."""
        query = select(_instances).where(
            _instances.c.instance_id == instance_id, _instances.c.journey_id == journey_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else codec.instance_of(row)

    def instances(self, wanted: Wanted) -> list[Instance]:
        """Return instances, the latest entry first."""
        with self._database.read() as connection:
            rows = connection.execute(_listing(connection, wanted))
            return [codec.instance_of(row) for row in rows.mappings()]

    def _one_version(self, query: Select[tuple[object, ...]]) -> StoredVersion | None:
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _stored(row)


def _listing(connection: Connection, wanted: Wanted) -> Select[tuple[object, ...]]:
    place = tuple_(_instances.c.entry_ms, _instances.c.instance_id)
    query = select(_instances)
    if wanted.journey_id:
        query = query.where(_instances.c.journey_id == wanted.journey_id)
    if wanted.profile_id is not None:
        person = current_id(connection, wanted.profile_id)
        query = query.where(_instances.c.profile_id == person)
    if wanted.live_only:
        query = query.where(_instances.c.live)
    if wanted.before is not None:
        query = query.where(place < wanted.before)
    latest_first = (_instances.c.entry_ms.desc(), _instances.c.instance_id.desc())
    return query.order_by(*latest_first).limit(wanted.limit)


def _stored(row: RowMapping) -> StoredVersion:
    return StoredVersion(
        publication=definition_pb2.JourneyPublication.FromString(row["publication"]),
        request_id=row["request_id"],
        publish_ms=row["publish_ms"],
        inbound_seq=row["inbound_seq"],
        open=row["open"],
    )
