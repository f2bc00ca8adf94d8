"""Wires the messaging service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import grpc.aio

from coterie.messaging.v1 import messaging_service_pb2_grpc as rpc
from services.kit.errors import Unavailable
from services.kit.freshness import Freshness
from services.kit.log.batching import JOIN_BYTES, GroupCommit
from services.kit.log.paired import PairedLog
from services.kit.log.port import LogError
from services.kit.module import Context
from services.kit.sql_stage import SqlStage
from services.kit.stage import StageState
from services.messaging import tables
from services.messaging.api import MessagingApi, Reads
from services.messaging.app import Publication, Suppressions, Templates
from services.messaging.dispatcher import Dispatcher
from services.messaging.ledger import Ledger
from services.messaging.peers import IdentityPeer, ProfilePeer
from services.messaging.providers.choice import open_providers
from services.messaging.relay import Relay
from services.messaging.rendering.renderer import Renderer
from services.messaging.stage import STAGE, MessagingProjection
from services.messaging.store import MessagingStore

NAME = "messaging"
LETTERS = "letters"
"""The folder of the data directory that takes what no provider is configured for."""


class MessagingModule:
    """The messaging service, built and not yet running."""

    name = NAME
    service_names: Sequence[str] = ("coterie.messaging.v1.MessagingService",)

    def __init__(self, context: Context) -> None:
        config = context.config
        self._context = context
        self._numbers = range(config.partitions)
        self._inbound = context.logs("inbound")
        self._freshness = Freshness(config.partitions)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start_seq: int | None = None
        self._start_ends: list[int] | None = None
        self._facts = [context.logs(f"facts-{number}") for number in self._numbers]
        self._database = context.database(NAME)
        self._database.create(tables.metadata)
        self._store = MessagingStore(self._database, config.zone)
        self._projections = [self._projection(number) for number in self._numbers]
        for projection in self._projections:
            # What the tables say is known before the first call: how far they have come.
            projection.reset()
        self.stages = [self._stage(number) for number in self._numbers]
        self._commit = GroupCommit(self._inbound, join_bytes=JOIN_BYTES)
        self._providers = open_providers(config.providers, config.data_dir / LETTERS)
        # A template that somebody tries out keeps no message waiting.
        self._renderer, self._preview = Renderer(), Renderer()
        self._ledger = Ledger(self._database, config.zone, context.clock.now_ms, self._stamp_ms)
        self._tasks: list[asyncio.Task[None]] = []
        self._relay: Relay | None = None
        self._dispatcher: Dispatcher | None = None

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer."""
        context = self._context
        publication = Publication(
            self._append, self._freshness, self._stamp_ms, context.tracing.current_traceparent
        )
        schemas = ProfilePeer(context.peer("profile"))
        templates = Templates(self._store, self._preview, schemas, publication)
        reads = Reads(
            IdentityPeer(context.peer("identity")), self._freshness, self._inbound.last_seq
        )
        suppressions = Suppressions(self._store, self._stamp_ms)
        api = MessagingApi(templates, suppressions, self._store, reads)
        rpc.add_MessagingServiceServicer_to_server(api, server)

    async def start(self) -> None:
        """Start to send, and to tell what became of what was sent."""
        self._start_seq = await asyncio.to_thread(self._inbound.last_seq)
        relay = self._relay = Relay(self._database, self._append)
        dispatcher = self._dispatcher = Dispatcher(
            self._ledger, self._renderer, self._providers, self._context.tracing, relay.wake
        )
        self._tasks = [
            asyncio.create_task(relay.run(), name="messaging-relay"),
            asyncio.create_task(dispatcher.run(self._is_caught_up), name="messaging-dispatcher"),
            asyncio.create_task(self._warm_up(), name="messaging-warm-up"),
        ]
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Let the calls to providers end, tell what came of them, and let go of everything."""
        self._loop = None
        for task in reversed(self._tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._relay is not None:
            await self._relay.attempt()
        await self._commit.close()
        for provider in self._providers.values():
            await provider.close()
        for renderer in (self._renderer, self._preview):
            await asyncio.to_thread(renderer.close)

    def progress(self) -> Sequence[StageState]:
        """Return how far each partition has come, and what it has under way."""
        # The positions first: what is under way is then at least as new as they are.
        positions = [(stage.position, stage.tail) for stage in self.stages]
        waiting = self._store.waiting(len(self._numbers))
        return [
            StageState(
                stage=stage.name,
                partition=stage.partition,
                position=position,
                tail=tail,
                inbound_position=projection.inbound_seq,
                log_time_ms=projection.log_time_ms,
                next_due_ms=mine.next_due_ms,
                in_flight=mine.in_flight,
                dead_letters=stage.dead_letters,
            )
            for stage, projection, (position, tail), mine in zip(
                self.stages, self._projections, positions, waiting, strict=True
            )
        ]

    def _projection(self, number: int) -> MessagingProjection:
        context = self._context
        return MessagingProjection(
            number,
            self._database,
            context.tracing,
            partial(self._reached, number),
            context.config.zone,
            exact=context.config.clock == "virtual",
        )

    def _stage(self, number: int) -> SqlStage:
        source = PairedLog(self._facts[number], self._context.logs(f"intents-{number}"))
        return SqlStage(STAGE, number, source, self._database, self._projections[number])

    def _reached(self, partition: int, inbound_seq: int) -> None:
        """Hear from a stage's thread that its tables have come further."""
        self._freshness.reached(inbound_seq, partition)
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # The loop has ended meanwhile, and so has the service.
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._relay is not None and self._dispatcher is not None:
            self._relay.wake()
            self._dispatcher.wake()

    def _is_caught_up(self) -> bool:
        """Tell whether the tables know all that had happened when this process began.

        Tables that begin empty beside an old log would else send again what was sent long ago.
        """
        if self._start_seq is None:
            return True
        if self._projections[0].inbound_seq < self._start_seq:
            return False
        # What identity made of it is in every facts log by now; where those end is what to reach.
        if self._start_ends is None:
            self._start_ends = [log.last_seq() for log in self._facts]
        ends = zip(self.stages, self._start_ends, strict=True)
        if any(stage.position < end for stage, end in ends):
            return False
        self._start_seq = None
        return True

    async def _warm_up(self) -> None:
        with suppress(OSError):  # The first message that needs it says what is wrong.
            await asyncio.to_thread(self._renderer.warm_up)

    def _stamp_ms(self) -> int:
        """Return the stamp of what is appended here: log time, where the clock is virtual."""
        log_time_ms = max(each.log_time_ms for each in self._projections)
        if self._context.config.clock == "virtual":
            return log_time_ms
        return max(self._context.clock.now_ms(), log_time_ms)

    async def _append(self, payload: bytes) -> int:
        try:
            return await self._commit.append(payload)
        except LogError as error:
            raise Unavailable(
                "UNAVAILABLE", "the log did not confirm the write: send the same request again"
            ) from error


def build(context: Context) -> MessagingModule:
    """Return the messaging service for this process."""
    return MessagingModule(context)
