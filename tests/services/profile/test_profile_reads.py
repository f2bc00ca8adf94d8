"""Reads wait for the partition of the person, and for no other."""

from __future__ import annotations

import asyncio

import pytest
from profile_inputs import event, fact, identity, record

from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2
from services.kit.errors import NotFound
from services.kit.freshness import Freshness
from services.kit.ids import profile_id
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.profile import tables
from services.profile.app import Profiles
from services.profile.handing import Handing
from services.profile.schema import SchemaView
from services.profile.stage import FactsProjection
from services.profile.store import ProfileStore
from tests.databases import Databases

LATEST = consistency_pb2.Consistency(latest=True)
ADA, ELA = profile_id(0, 1), profile_id(1, 1)
LAST_SEQ = 9


class TwoPartitions:
    """The reads of two partitions; everything that anybody resolves is Ela's."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.database.create(tables.metadata)
        self.freshness = [Freshness(), Freshness()]
        self._projections = [
            FactsProjection(
                n,
                self.database,
                Tracing(),
                fresh.reached,
                SchemaView().project,
                Handing(n, self.database, lambda _: None, lambda now_ms: now_ms),
            )
            for n, fresh in enumerate(self.freshness)
        ]
        store = ProfileStore(self.database)
        self.profiles = Profiles(store, self, self.freshness, lambda: LAST_SEQ)

    async def live(self, profile_id: int) -> int:
        return profile_id

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        assert consistency == LATEST
        return ELA if identity.value == "ela" else 0

    def tell(self, partition: int, seq: int, who: int, body: object) -> None:
        records = [record(1, [fact(who, body)], seq)]
        with self.database.write() as connection:
            self._projections[partition].apply(connection, records)
        self._projections[partition].committed(records)

    async def events_of(self, who: identity_pb2.Who) -> int:
        return (await self.profiles.find(who, LATEST)).event_count


@pytest.fixture
def two(databases: Databases) -> TwoPartitions:
    return TwoPartitions(databases.open("profile"))


async def _waits(call: asyncio.Future[int]) -> bool:
    return not (await asyncio.wait({call}, timeout=0.05))[0]


@pytest.mark.parametrize(
    "who", [identity_pb2.Who(profile_id=ELA), identity_pb2.Who(identity=identity("crm:ela"))]
)
def test_a_read_waits_for_the_partition_of_its_person(
    two: TwoPartitions, who: identity_pb2.Who
) -> None:
    async def story() -> None:
        two.tell(0, LAST_SEQ, ADA, event("a"))
        call = asyncio.ensure_future(two.events_of(who))
        assert await _waits(call)
        two.tell(1, LAST_SEQ, ELA, event("e"))
        assert await call == 1

    asyncio.run(story())


def test_a_read_of_a_merged_profile_waits_for_the_one_that_remains(two: TwoPartitions) -> None:
    async def story() -> None:
        two.tell(1, LAST_SEQ, ELA, event("e"))
        two.tell(0, 3, ADA, ELA)
        call = asyncio.ensure_future(two.events_of(identity_pb2.Who(profile_id=ELA)))
        assert await _waits(call)
        two.tell(0, LAST_SEQ, ADA, event("a"))
        assert await call == 2

    asyncio.run(story())


def test_an_identifier_that_nobody_has_and_a_partition_that_is_not_there_are_nobody(
    two: TwoPartitions,
) -> None:
    for who in (
        identity_pb2.Who(identity=identity("crm:bob")),
        identity_pb2.Who(profile_id=profile_id(2, 1)),
    ):
        with pytest.raises(NotFound):
            asyncio.run(two.events_of(who))
