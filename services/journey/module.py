"""Wires the journey service."""

from __future__ import annotations

from collections.abc import Sequence

import grpc.aio

from coterie.journey.v1 import journey_service_pb2_grpc as rpc
from services.journey import tables
from services.journey.api import JourneyApi
from services.journey.app import Journeys
from services.journey.appending import Appender
from services.journey.peers import IdentityPeer, MessagingPeer, ProfilePeer, SegmentationPeer
from services.journey.publishing import Peers, Publisher
from services.journey.relay import Relay
from services.journey.stage import STAGE, JourneyProjection
from services.journey.store import JourneyStore
from services.kit.freshness import Freshness
from services.kit.log.batching import JOIN_BYTES, GroupCommit
from services.kit.log.paired import PairedLog
from services.kit.module import Context
from services.kit.sql_stage import SqlStage
from services.kit.stage import StageState

NAME = "journey"


class JourneyModule:
    """The journey service, built and not yet running."""

    name = NAME
    service_names: Sequence[str] = ("coterie.journey.v1.JourneyService",)

    def __init__(self, context: Context) -> None:
        self._context = context
        numbers = range(context.config.partitions)
        self._inbound = context.logs("inbound")
        self._freshness = Freshness(len(numbers))
        self._database = context.database(NAME)
        self._database.create(tables.metadata)
        self._projections = [self._projection(number) for number in numbers]
        self.stages = [self._stage(number) for number in numbers]
        self._commit = GroupCommit(self._inbound, join_bytes=JOIN_BYTES)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer."""
        peer = self._context.peer
        store = JourneyStore(self._database)
        latest = self._inbound.last_seq
        publisher = Publisher(
            store,
            Peers(
                ProfilePeer(peer("profile")),
                SegmentationPeer(peer("segmentation")),
                MessagingPeer(peer("messaging")),
            ),
            Appender(self._commit, self._now_ms, self._context.tracing.current_traceparent),
            self._freshness,
            latest,
        )
        journeys = Journeys(store, IdentityPeer(peer("identity")), self._freshness, latest)
        rpc.add_JourneyServiceServicer_to_server(JourneyApi(publisher, journeys), server)

    async def start(self) -> None:
        """Nothing runs in the background."""

    async def stop(self) -> None:
        """Return once all that was taken in is on disk."""
        await self._commit.close()

    def progress(self) -> Sequence[StageState]:
        """Return how far each stage has come."""
        return [
            StageState(
                stage=stage.name,
                partition=stage.partition,
                position=position,
                tail=stage.tail,
                inbound_position=projection.inbound_seq,
                log_time_ms=projection.log_time_ms,
                next_due_ms=projection.next_due_ms,
                # Between the commit and the relay something is known that no log tells yet.
                in_flight=int(position > projection.told_seq),
                dead_letters=stage.dead_letters,
            )
            for stage, projection in zip(self.stages, self._projections, strict=True)
            for position in (stage.position,)
        ]

    def _projection(self, number: int) -> JourneyProjection:
        context = self._context
        relay = Relay(
            number,
            self._database,
            context.logs(f"intents-{number}"),
            self._inbound,
            self._stamp_ms,
        )
        return JourneyProjection(
            number, self._database, context.tracing, relay, self._freshness.reached
        )

    def _stage(self, number: int) -> SqlStage:
        logs = self._context.logs
        source = PairedLog(logs(f"facts-{number}"), logs(f"transitions-{number}"))
        return SqlStage(STAGE, number, source, self._database, self._projections[number])

    def _now_ms(self) -> int:
        return self._stamp_ms(max(each.log_time_ms for each in self._projections))

    def _stamp_ms(self, log_time_ms: int) -> int:
        """Return the stamp of what is appended here: log time, where the clock is virtual."""
        if self._context.config.clock == "virtual":
            return log_time_ms
        return max(self._context.clock.now_ms(), log_time_ms)


def build(context: Context) -> JourneyModule:
    """Return the journey service for this process."""
    return JourneyModule(context)
