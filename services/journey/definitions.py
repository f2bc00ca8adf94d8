"""The journeys of one partition as far as it has read: their versions, and who looks at what."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, select, update

from coterie.log.v1 import definition_pb2, facts_pb2
from services.journey import tables
from services.journey.conditions import Version, version_of
from services.journey.domain.walk import Walk
from services.journey.wire import journey_of
from services.kit.ids import derive_id
from services.kit.upserts import keep_first

_Number = tuple[str, int]


class Definitions:
    """All versions in memory: there are few, and each fact is held against them."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._versions: dict[_Number, Version] = {}
        self._walks: dict[_Number, Walk] = {}
        self._open: dict[str, Version] = {}
        self._ended: set[_Number] = set()
        self._index()

    def load(self, connection: Connection) -> None:
        """Read back what the tables have."""
        table = tables.versions
        self._versions.clear()
        self._walks.clear()
        self._open.clear()
        self._ended.clear()
        rows = connection.execute(
            select(table.c.publication, table.c.open, table.c.ended)
            .where(table.c.partition == self._partition)
            .order_by(table.c.journey_id, table.c.version)
        )
        for row in rows:
            publication = definition_pb2.JourneyPublication.FromString(row.publication)
            self._take(publication, open_=row.open)
            if row.ended:
                self._ended.add((publication.journey_id, publication.version))
        self._index()

    def publish(self, connection: Connection, fact: facts_pb2.Fact, inbound_seq: int) -> None:
        """Make a version live; the first of a number stays."""
        publication = fact.journey_publication
        number = (publication.journey_id, publication.version)
        if number in self._versions:
            return
        self._close(connection, publication.journey_id)
        row = {
            "partition": self._partition,
            "journey_id": publication.journey_id,
            "version": publication.version,
            "publication": publication.SerializeToString(deterministic=True),
            "request_id": fact.input_id,
            "publish_ms": fact.log_time_ms,
            "inbound_seq": inbound_seq,
            "open": True,
            "ended": False,
        }
        keep_first(connection, tables.versions, [row])
        self._take(publication, open_=True)
        self._index()

    def stop(self, connection: Connection, journey_id: str, *, end_instances: bool) -> None:
        """Let nobody enter any version of a journey, or go on in one."""
        self._close(connection, journey_id)
        self._open.pop(journey_id, None)
        self._index()
        if end_instances:
            table = tables.versions
            connection.execute(
                update(table)
                .where(table.c.partition == self._partition, table.c.journey_id == journey_id)
                .values(ended=True)
            )
            self._ended.update(number for number in self._versions if number[0] == journey_id)

    def has_ended(self, journey_id: str, version: int) -> bool:
        """Return whether the version was stopped with all who were on their way in it."""
        return (journey_id, version) in self._ended

    def version(self, journey_id: str, version: int) -> Version:
        """Return a version that was published."""
        return self._versions[journey_id, version]

    def walk(self, journey_id: str, version: int) -> Walk:
        """Return what walks the instances of a version."""
        return self._walks[journey_id, version]

    @property
    def there(self) -> bool:
        """Whether there is any journey at all."""
        return bool(self._versions)

    def _close(self, connection: Connection, journey_id: str) -> None:
        table = tables.versions
        connection.execute(
            update(table)
            .where(table.c.partition == self._partition, table.c.journey_id == journey_id)
            .values(open=False)
        )

    def _take(self, publication: definition_pb2.JourneyPublication, *, open_: bool) -> None:
        number = (publication.journey_id, publication.version)
        journey = journey_of(*number, publication.journey, [])
        version = version_of(journey, publication.conditions_json)
        self._versions[number] = version
        self._walks[number] = Walk(journey, lambda *parts: derive_id("intent", *parts))
        if open_:
            self._open[publication.journey_id] = version

    def _index(self) -> None:
        everything = self._versions.values()
        self.noted_types = frozenset[str]().union(*(each.event_types for each in everything))
        self.looked_at = frozenset[str]().union(*(each.audiences for each in everything))
        self.catalog_journeys = frozenset(
            number for number, each in self._versions.items() if each.uses_catalog
        )
        by_audience: dict[str, list[Version]] = {}
        by_type: dict[str, list[Version]] = {}
        for _, version in sorted(self._open.items()):
            if version.entry_rows is None:
                by_audience.setdefault(version.journey.entry.audience_id, []).append(version)
            else:
                for event_type in dict.fromkeys(version.entry_rows.types):
                    by_type.setdefault(event_type, []).append(version)
        self.entered_by_audience: Mapping[str, list[Version]] = MappingProxyType(by_audience)
        self.entered_by_type: Mapping[str, list[Version]] = MappingProxyType(by_type)
        self.looked_for = self.noted_types | by_type.keys()
