"""Builds identity from what the host gives: its only wiring."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc.aio

from coterie.identity.v1 import identity_service_pb2_grpc as rpc
from coterie.rpc.v1 import clock_service_pb2_grpc
from services.identity.api import ClockApi, IdentityApi
from services.identity.app import Links, LogClock, People
from services.identity.domain.limits import Limits
from services.identity.domain.namespaces import Namespaces
from services.identity.inbound import InboundWriter
from services.identity.nudger import Nudger
from services.identity.stage import IdentityDerivation
from services.identity.state import Rules, State
from services.identity.store import STAGE, IdentityStore
from services.identity.ticker import Ticker
from services.kit.config import Config
from services.kit.freshness import Freshness
from services.kit.log.batching import JOIN_BYTES, GroupCommit
from services.kit.log_stage import LogStage
from services.kit.module import Context
from services.kit.stage import StageState


class IdentityModule:
    """Identity, built and not yet running; serves the log's clock too."""

    name = "identity"
    service_names = ("coterie.identity.v1.IdentityService", "coterie.rpc.v1.ClockService")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._inbound_log = context.logs("inbound")
        self._freshness = Freshness()
        self._rules = _rules(context.config)
        self._store = IdentityStore(context.database(self.name), self._rules)
        self._derivation = IdentityDerivation(
            self._store, self._rules, self._freshness, context.tracing
        )
        sinks = [context.logs(f"facts-{number}") for number in range(self._rules.partitions)]
        self._stage = LogStage(STAGE, 0, self._inbound_log, sinks, self._derivation)
        self.stages = (self._stage,)
        self._commit = GroupCommit(self._inbound_log, join_bytes=JOIN_BYTES)
        self._writer = InboundWriter(self._commit)
        self._ticker: Ticker | None = None
        self._nudger: Nudger | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def halted(self) -> str | None:
        """Why time stands still, for people; None while it goes on."""
        return self._ticker.halted if self._ticker else None

    def register(self, server: grpc.aio.Server) -> None:
        """Add both servicers."""
        clock = LogClock(self._context.clock, self._state, self._writer)
        people = People(self._state, self._store, self._rules.namespaces)
        api = IdentityApi(
            people,
            Links(self._writer, clock.now_ms, people),
            self._freshness,
            self._inbound_log.last_seq,
            self._context.tracing.current_traceparent,
        )
        rpc.add_IdentityServiceServicer_to_server(api, server)
        clock_service_pb2_grpc.add_ClockServiceServicer_to_server(ClockApi(clock), server)

    async def start(self) -> None:
        """Start the ticker where the clock is the machine's; the first tick is in the log then."""
        self._nudger = Nudger(self._nudge)
        self._derivation.on_stirred = self._nudger.wake
        if self._state().waiting.is_stirred:
            self._nudger.wake()
        if self._context.config.clock == "virtual":
            return
        last_tick_ms = self._state().time.last_tick_ms
        self._ticker = Ticker(self._context.clock, last_tick_ms, self._writer.tick)
        await self._ticker.beat()
        self._ticking = asyncio.create_task(self._ticker.run(), name="ticker")

    async def stop(self) -> None:
        """Stop the ticker; what was handed over to the log is stored."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        if self._nudger is not None:
            await self._nudger.stop()
        await self._commit.close()

    async def _nudge(self) -> None:
        await self._writer.nudge(self._state().time.now_ms)

    def progress(self) -> Sequence[StageState]:
        """Return how far the stage has come."""
        stage, derivation = self._stage, self._derivation
        state = StageState(
            stage=stage.name,
            partition=stage.partition,
            position=stage.position,
            tail=stage.tail,
            inbound_position=derivation.position,
            log_time_ms=derivation.log_time_ms,
            next_due_ms=None,
            in_flight=derivation.in_flight,
            dead_letters=stage.dead_letters,
        )
        return [state]

    def _state(self) -> State:
        return self._derivation.state


def build(context: Context) -> IdentityModule:
    """Return the service's module."""
    return IdentityModule(context)


def _rules(config: Config) -> Rules:
    namespaces = Namespaces(config.namespaces, frozenset(config.unique_namespaces))
    return Rules(namespaces, config.partitions, Limits())
