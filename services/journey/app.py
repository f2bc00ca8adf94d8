"""What callers ask of journeys and their instances: each read waits until it is fresh enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2
from services.journey.domain.instance import Instance
from services.journey.publishing import journey_not_found
from services.journey.store import JourneyStore, StoredVersion, Wanted
from services.kit.errors import NotFound
from services.kit.freshness import Freshness, check_token, settle


class Identities(Protocol):
    """Knows whose an identifier is."""

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile id, 0 for an identifier that nobody has."""


class Journeys:
    """Reads. `latest` reads the last position of the inbound log."""

    def __init__(
        self,
        store: JourneyStore,
        identities: Identities,
        freshness: Freshness,
        latest: Callable[[], int],
    ) -> None:
        self._store = store
        self._identities = identities
        self._freshness = freshness
        self._latest = latest

    async def get(
        self, journey_id: str, version: int, consistency: consistency_pb2.Consistency
    ) -> StoredVersion:
        """Return one version, or the newest for 0; raises NotFound."""
        await settle(consistency, self._freshness, self._latest)
        found = await asyncio.to_thread(self._store.version, journey_id, version)
        if found is None:
            raise journey_not_found(journey_id)
        return found

    async def list_after(
        self, after: str, limit: int, consistency: consistency_pb2.Consistency
    ) -> list[StoredVersion]:
        """Return the newest version of each journey, by id."""
        await settle(consistency, self._freshness, self._latest)
        return await asyncio.to_thread(self._store.newest_versions, after, limit)

    async def instance(
        self, journey_id: str, instance_id: str, consistency: consistency_pb2.Consistency
    ) -> Instance:
        """Return one instance; raises NotFound."""
        await settle(consistency, self._freshness, self._latest)
        found = await asyncio.to_thread(self._store.instance, journey_id, instance_id)
        if found is None:
            message = f"there is no instance `{instance_id}` of journey `{journey_id}`"
            raise NotFound("INSTANCE_NOT_FOUND", message, {"instance": instance_id})
        return found

    async def instances(
        self, wanted: Wanted, consistency: consistency_pb2.Consistency
    ) -> list[Instance]:
        """Return instances, the latest entry first; raises NotFound for an unknown journey."""
        await settle(consistency, self._freshness, self._latest)
        if wanted.journey_id:
            await self.get(wanted.journey_id, 0, consistency_pb2.Consistency())
        return await asyncio.to_thread(self._store.instances, wanted)

    async def person(
        self, who: identity_pb2.Who, consistency: consistency_pb2.Consistency
    ) -> int | None:
        """Return the profile id of `who`, None where nobody is named; raises NotFound."""
        match who.WhichOneof("person"):
            case "identity":
                await check_token(consistency, self._freshness, self._latest)
                found = await self._identities.resolve(who.identity, consistency)
                if not found:
                    raise NotFound("PROFILE_NOT_FOUND", "who: no profile has that identifier")
                return found
            case "profile_id":
                return who.profile_id
            case _:
                return None
