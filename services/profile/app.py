"""What callers ask: find the person, wait until the tables are fresh enough, read on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2, schema_pb2
from services.kit.errors import invalid_field
from services.kit.freshness import Freshness, check_token, settle
from services.kit.ids import parse_request_id, partition_of
from services.kit.rules import vocabulary
from services.profile import checks, domain
from services.profile.intake import Gateway
from services.profile.schema import SchemaView
from services.profile.store import ProfileStore


class Identities(Protocol):
    """Knows whose an identifier is."""

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile id, 0 for an identifier that nobody has."""

    async def live(self, profile_id: int) -> int:
        """Return the profile that this id finds by now, 0 where it finds nobody."""


class Profiles:
    """Reads of people. `latest` reads the last position of the inbound log."""

    def __init__(
        self,
        store: ProfileStore,
        identities: Identities,
        freshness: Sequence[Freshness],
        latest: Callable[[], int],
    ) -> None:
        self._store = store
        self._identities = identities
        self._freshness = freshness
        self._latest = latest

    async def find(
        self, who: identity_pb2.Who, consistency: consistency_pb2.Consistency
    ) -> domain.Profile:
        """Return the person's profile; raises NotFound."""
        profile_id = await self._settled(who, consistency)
        found = await asyncio.to_thread(self._store.find, profile_id)
        if found is None:
            raise domain.nobody()
        return found

    async def list_events(
        self,
        who: identity_pb2.Who,
        consistency: consistency_pb2.Consistency,
        types: Sequence[str],
        before: domain.Moment | None,
        limit: int,
    ) -> list[domain.TimelineEvent]:
        """Return up to `limit` events before `before`, the latest first; raises NotFound."""
        profile_id = await self._settled(who, consistency)
        found = await asyncio.to_thread(self._store.list_events, profile_id, types, before, limit)
        if found is None:
            raise domain.nobody()
        return found

    async def nameable(self, who: identity_pb2.Who) -> int:
        """Return who that is by now, also by the id of an erased profile; raises NotFound.

        Identity says so, which is nowhere behind for long; of the erased the tables alone know.
        """
        if who.WhichOneof("person") == "profile_id" and who.profile_id:
            found = await self._identities.live(who.profile_id)
            found = found or await asyncio.to_thread(self._store.nameable, who.profile_id)
        else:
            found = await self._profile_id(who, consistency_pb2.Consistency(latest=True))
        if not found:
            raise domain.nobody()
        return found

    async def schema(self, consistency: consistency_pb2.Consistency) -> schema_pb2.Schema:
        """Return the schema: every partition's log tells all of it, so one is enough."""
        await settle(consistency, self._freshness[0], self._latest)
        return await asyncio.to_thread(self._store.schema)

    async def _settled(
        self, who: identity_pb2.Who, consistency: consistency_pb2.Consistency
    ) -> int:
        profile_id = await self._profile_id(who, consistency)
        partition = partition_of(profile_id)
        if not profile_id or partition >= len(self._freshness):
            raise domain.nobody()
        await settle(consistency, self._freshness[partition], self._latest)
        if len(self._freshness) > 1:
            await self._follow(profile_id, consistency)
        return profile_id

    async def _follow(self, profile_id: int, consistency: consistency_pb2.Consistency) -> None:
        """Wait for each partition to which the person went, one after the other."""
        settled = {partition_of(profile_id)}
        while True:
            destination = await asyncio.to_thread(self._store.destination, profile_id)
            partition = partition_of(destination)
            if partition in settled:
                return
            await settle(consistency, self._freshness[partition], self._latest)
            settled.add(partition)

    async def _profile_id(
        self, who: identity_pb2.Who, consistency: consistency_pb2.Consistency
    ) -> int:
        match who.WhichOneof("person"):
            case "identity":
                checks.check_identity(who.identity, "who.identity")
                await check_token(consistency, self._freshness[0], self._latest)
                return await self._identities.resolve(who.identity, consistency)
            case "profile_id":
                return who.profile_id
            case _:
                raise invalid_field("who", "nobody", "an identifier or a profile id")


class Erasures:
    """Takes erasures into the log, by the number of the profile alone."""

    def __init__(self, gateway: Gateway, profiles: Profiles) -> None:
        self._gateway = gateway
        self._profiles = profiles

    async def erase(self, who: identity_pb2.Who, request_id: str) -> tuple[int, int]:
        """Append the erasure; return its position and whose it is. Raises NotFound."""
        checked_id = parse_request_id(request_id, "request_id")
        profile_id = await self._profiles.nameable(who)
        return await self._gateway.take_erasure(profile_id, checked_id), profile_id


class SchemaExtensions:
    """Lets the schema grow, one extension after the other.

    `start_seq` is where the inbound log ended when the process began: what this process has
    accepted since then it knows itself, and what was accepted before it has to read first.
    """

    def __init__(
        self, gateway: Gateway, view: SchemaView, freshness: Freshness, start_seq: int
    ) -> None:
        self._gateway = gateway
        self._view = view
        self._freshness = freshness
        self._start_seq = start_seq
        self._turn = asyncio.Lock()
        self._underway: set[asyncio.Task[int]] = set()

    async def extend(self, extension: schema_pb2.Schema) -> int:
        """Append the extension; return its position. Raises InvalidArgument if it does not fit."""
        checks.check_extension_size(extension)
        await self._freshness.wait_for(self._start_seq)
        task = asyncio.create_task(self._extend(extension))
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        return await asyncio.shield(task)

    async def _extend(self, extension: schema_pb2.Schema) -> int:
        async with self._turn:
            vocabulary.check_extension(self._view.current, extension)
            inbound_seq = await self._gateway.take_schema(extension)
            self._view.accept(extension, inbound_seq)
            return inbound_seq
