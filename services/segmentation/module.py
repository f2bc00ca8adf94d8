"""Builds segmentation from what the host gives: its only wiring."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc.aio

from coterie.segmentation.v1 import segmentation_service_pb2_grpc as rpc
from services.kit.errors import Unavailable
from services.kit.freshness import Freshness
from services.kit.log.batching import JOIN_BYTES, GroupCommit
from services.kit.log.port import Entry, LogError
from services.kit.log_stage import LogStage
from services.kit.module import Context
from services.kit.stage import StageState
from services.segmentation.api import SegmentationApi, UseCases
from services.segmentation.app import Audiences
from services.segmentation.builder import Builder
from services.segmentation.changing import Changes
from services.segmentation.memory import MemoryUse
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition
from services.segmentation.peers import Identities
from services.segmentation.previewing import Previews
from services.segmentation.publishing import Publications
from services.segmentation.reading import Reads
from services.segmentation.stage import Memberships
from services.segmentation.watch import Watcher

QUESTION_THREADS = {"explain": 2, "select": 2, "preview": 1}
"""For each kind of question that may take long, so that it takes no thread from the other reads.

One preview at a time: it uses all that one core has, and live traffic waits for a slice of it.
"""
STOP_TRIES = 50
STOP_PAUSE_S = 0.02


class SegmentationModule:
    """Segmentation, built and not yet running."""

    name = "segmentation"
    service_names = ("coterie.segmentation.v1.SegmentationService",)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._numbers = range(context.config.partitions)
        self._inbound = context.logs("inbound")
        self._freshness = Freshness(len(self._numbers))
        self._memberships = [self._derivation(number) for number in self._numbers]
        self.stages = tuple(self._stage(number) for number in self._numbers)
        self._commit = GroupCommit(self._inbound, join_bytes=JOIN_BYTES)
        self._builder: Builder | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._questions = {
            kind: ThreadPoolExecutor(count, thread_name_prefix=kind)
            for kind, count in QUESTION_THREADS.items()
        }

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer."""
        overview = Overview(self._partitions)
        writing = (self._freshness, self._append, self._now_ms)
        changes = Changes(overview, *writing)
        api = SegmentationApi(
            UseCases(
                Audiences(self._questions["explain"], overview, *writing),
                changes,
                Publications(overview, changes, *writing),
                Reads(self._questions["select"], overview),
                Previews(self._questions["preview"], overview),
                MemoryUse(overview),
                Watcher(
                    [self._context.logs(f"transitions-{n}") for n in self._numbers],
                    self._freshness,
                ),
            ),
            Identities(self._context.peer("identity")),
            self._freshness,
            self._inbound.last_seq,
        )
        rpc.add_SegmentationServiceServicer_to_server(api, server)

    async def start(self) -> None:
        """Start to build what is proposed."""
        self._builder = Builder(self._partitions, self._append, self._now_ms)
        for derivation in self._memberships:
            derivation.on_definition = self._builder.wake
        self._builder.wake()
        self._tasks = [asyncio.create_task(self._builder.run(), name="segmentation-builder")]

    async def stop(self) -> None:
        """Stop building, and keep the state where it is whole."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for threads in self._questions.values():
            # What nobody waits for any more is not begun.
            threads.shutdown(wait=False, cancel_futures=True)
        for derivation in self._memberships:
            for _ in range(STOP_TRIES):
                if await asyncio.to_thread(derivation.close):
                    break
                await asyncio.sleep(STOP_PAUSE_S)
        await self._commit.close()

    def progress(self) -> Sequence[StageState]:
        """Return how far each partition has come."""
        return [self._state(number) for number in self._numbers]

    def _state(self, number: int) -> StageState:
        """Read the positions first: what else is told is then at least as new as they are."""
        partition = self._memberships[number].partition
        stage = self.stages[number]
        return StageState(
            stage=self.name,
            partition=number,
            position=stage.position,
            tail=stage.tail,
            inbound_position=partition.settled_seq,
            log_time_ms=partition.log_time_ms,
            in_flight=len(self._builder.waiting) if self._builder else 0,
            next_due_ms=partition.next_due_ms,
            dead_letters=stage.dead_letters,
        )

    def _derivation(self, number: int) -> Memberships:
        context = self._context
        return Memberships(
            number,
            context.directory.snapshots,
            self._freshness,
            context.tracing,
            self._append_here,
            context.config.zone,
        )

    def _stage(self, number: int) -> LogStage:
        logs = self._context.logs
        return LogStage(
            self.name,
            number,
            logs(f"facts-{number}"),
            [logs(f"transitions-{number}")],
            self._memberships[number],
        )

    def _partitions(self) -> Sequence[Partition]:
        return [each.partition for each in self._memberships]

    def _now_ms(self) -> int:
        """Return the stamp of what is appended here: log time, where the clock is virtual."""
        log_time_ms = max(each.log_time_ms for each in self._partitions())
        if self._context.config.clock == "virtual":
            return log_time_ms
        return max(self._context.clock.now_ms(), log_time_ms)

    def _append_here(self, payload: bytes) -> int:
        """Append on the thread of a stage, which waits for it."""
        return self._inbound.append([Entry(payload)])

    async def _append(self, payload: bytes) -> int:
        try:
            return await self._commit.append(payload)
        except LogError as error:
            raise Unavailable(
                "UNAVAILABLE", "the log did not confirm the write: send the same request again"
            ) from error


def build(context: Context) -> SegmentationModule:
    """Return the service's module."""
    return SegmentationModule(context)
