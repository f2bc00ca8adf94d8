"""Wires the profile service."""

from __future__ import annotations

from collections.abc import Sequence

import grpc.aio

from coterie.log.v1 import inbound_pb2
from coterie.profile.v1 import profile_service_pb2_grpc as rpc
from services.kit.clock import ManualClock
from services.kit.freshness import Freshness
from services.kit.log.batching import JOIN_BYTES, GroupCommit
from services.kit.log.port import Entry, Log
from services.kit.module import Context
from services.kit.sql_stage import SqlStage
from services.kit.stage import StageState
from services.profile import tables
from services.profile.api import ProfileApi
from services.profile.app import Erasures, Profiles, SchemaExtensions
from services.profile.appending import InboundAppender
from services.profile.backlog import Backlog
from services.profile.handing import Handing
from services.profile.intake import Gateway
from services.profile.peers import IdentityPeer
from services.profile.schema import SchemaView
from services.profile.stage import STAGE, FactsProjection
from services.profile.stamps import Stamps
from services.profile.store import ProfileStore

NAME = "profile"


class ProfileModule:
    """The profile service, built and not yet running."""

    name = NAME
    service_names: Sequence[str] = ("coterie.profile.v1.ProfileService",)

    def __init__(self, context: Context) -> None:
        partitions = context.config.partitions
        self._inbound = context.logs("inbound")
        self._freshness = [Freshness() for _ in range(partitions)]
        self._schema = SchemaView()
        self._context = context
        database = context.database(NAME)
        database.create(tables.metadata)
        self._projections = [
            FactsProjection(
                partition,
                database,
                context.tracing,
                freshness.reached,
                self._schema.project,
                Handing(partition, database, self._append, self._stamp_ms),
            )
            for partition, freshness in enumerate(self._freshness)
        ]
        for projection in self._projections:
            # What the tables say is known before the first call: kinds, and how far they have come.
            projection.reset()
        self.stages = [
            SqlStage(STAGE, partition, context.logs(f"facts-{partition}"), database, projection)
            for partition, projection in enumerate(self._projections)
        ]
        self._commit = GroupCommit(self._inbound, join_bytes=JOIN_BYTES)
        self._gateway = self._build_gateway(context)
        self._api = self._build_api(context, ProfileStore(database))

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer."""
        rpc.add_ProfileServiceServicer_to_server(self._api, server)

    async def start(self) -> None:
        """Nothing runs in the background."""

    async def stop(self) -> None:
        """Return once all that was taken in is on disk."""
        await self._gateway.drain()
        await self._commit.close()

    def progress(self) -> Sequence[StageState]:
        """Return how far each stage has come."""
        return [
            StageState(
                stage=stage.name,
                partition=stage.partition,
                position=stage.position,
                tail=stage.tail,
                inbound_position=projection.inbound_seq,
                log_time_ms=projection.log_time_ms,
                next_due_ms=None,
                in_flight=0,
                dead_letters=stage.dead_letters,
            )
            for stage, projection in zip(self.stages, self._projections, strict=True)
        ]

    def _append(self, payload: bytes) -> None:
        self._inbound.append([Entry(payload)])

    def _stamp_ms(self, log_time_ms: int) -> int:
        """Return the stamp of what a stage appends: log time, where the clock is virtual."""
        if self._context.config.clock == "virtual":
            return log_time_ms
        return max(self._context.clock.now_ms(), log_time_ms)

    def _build_gateway(self, context: Context) -> Gateway:
        virtual = context.clock if context.config.clock == "virtual" else None
        if virtual is not None and not isinstance(virtual, ManualClock):
            raise TypeError(f"a virtual clock is a ManualClock, found {type(virtual).__name__}")
        return Gateway(
            append=InboundAppender(self._commit).append,
            stamps=Stamps(
                context.clock,
                virtual,
                _last_stamp_ms(self._inbound),
                lambda: max(projection.log_time_ms for projection in self._projections),
            ),
            backlog=Backlog(
                lambda: min(projection.seen_seq for projection in self._projections),
                context.config.max_backlog_packs,
                self._inbound.last_seq(),
            ),
            declared=self._schema.declared,
            traceparent=context.tracing.current_traceparent,
        )

    def _build_api(self, context: Context, store: ProfileStore) -> ProfileApi:
        identities = IdentityPeer(context.peer("identity"))
        profiles = Profiles(store, identities, self._freshness, self._inbound.last_seq)
        extensions = SchemaExtensions(
            self._gateway, self._schema, self._freshness[0], self._inbound.last_seq()
        )
        erasures = Erasures(self._gateway, profiles)
        return ProfileApi(self._gateway, profiles, erasures, extensions)


def build(context: Context) -> ProfileModule:
    """Return the profile service for this process."""
    return ProfileModule(context)


def _last_stamp_ms(inbound: Log) -> int:
    last = inbound.last()
    if last is None:
        return 0
    pack = inbound_pb2.InboundPack.FromString(last.payload)
    return max((one.received_ms for one in pack.inputs), default=0)
