"""The tables of a projection, written without a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from profile_inputs import (
    record,
)

from coterie.log.v1 import facts_pb2, handoff_pb2, inbound_pb2
from coterie.type.v1 import value_pb2
from services.kit.ids import profile_id
from services.kit.log.port import Record
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.profile import domain, tables
from services.profile.handing import Handing
from services.profile.schema import SchemaView
from services.profile.stage import FactsProjection
from services.profile.store import ProfileStore

ADA, BOB, CEM, DAN = (profile_id(0, n) for n in (1, 2, 3, 4))
ELA = profile_id(1, 1)
Fact = facts_pb2.Fact


class Tables:
    """The tables of one database (in memory if need be), written by projections without a log."""

    def __init__(self, database: Database | None = None) -> None:
        self.database = database or Database("sqlite://")
        self.database.create(tables.metadata)
        self.store = ProfileStore(self.database)
        self.schema = SchemaView()
        self.handoffs: list[handoff_pb2.Handoff] = []
        self._projections: dict[int, FactsProjection] = {}
        self.reached: dict[int, int] = {}

    def _appended(self, payload: bytes) -> None:
        pack = inbound_pb2.InboundPack.FromString(payload)
        self.handoffs += [one.handoff for one in pack.inputs]

    def projection(self, partition: int = 0) -> FactsProjection:
        if partition not in self._projections:

            def reached(seq: int) -> None:
                self.reached[partition] = seq

            handing = Handing(partition, self.database, self._appended, lambda now_ms: now_ms)
            made = FactsProjection(
                partition, self.database, Tracing(), reached, self.schema.project, handing
            )
            made.reset()
            self._projections[partition] = made
        return self._projections[partition]

    def apply(self, records: Sequence[Record], partition: int = 0) -> None:
        projection = self.projection(partition)
        with self.database.write() as connection:
            projection.apply(connection, records)
        projection.committed(records)

    def tell(self, *facts: Fact) -> Tables:
        """Apply each fact as a pack and a step of its own."""
        for one in facts:
            self.apply([record(self.reached.get(0, 0) + 1, [one])])
        return self

    def profile(self, who: int = ADA) -> domain.Profile:
        found = self.store.find(who)
        assert found is not None
        return found

    def values(self, who: int = ADA) -> dict[str, Any]:
        parsed = {
            one.name: value_pb2.Value.FromString(one.value) for one in self.profile(who).attributes
        }
        return {
            name: getattr(value, value.WhichOneof("kind") or "") for name, value in parsed.items()
        }

    def consents(self, who: int = ADA) -> dict[int, int]:
        return {one.channel: one.status for one in self.profile(who).consents}

    def event_ids(self, who: int = ADA, types: Sequence[str] = ()) -> list[str]:
        found = self.store.list_events(who, types, None, 1000)
        assert found is not None
        return [one.moment.event_id for one in found]
