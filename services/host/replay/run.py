"""One replay from the data to the report: a suite in this process, spoken to through its API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc.aio

from coterie.rpc.v1 import clock_service_pb2
from coterie.rpc.v1.clock_service_pb2_grpc import ClockServiceStub
from services.host.client import Behind, Client, Stages
from services.host.definitions.audience_file import AudienceSpec
from services.host.embedded import Suite, open_directory
from services.host.replay import answers, ledger
from services.host.replay.batches import Batch, batched
from services.host.replay.definitions import declare
from services.host.replay.outcome import AudienceOutcome, Outcome, Phase
from services.host.replay.sender import Sender
from services.host.replay.source import Source
from services.host.replay.stopwatch import Stopwatch
from services.host.replay.wire import Input
from services.kit.clock import Clock
from services.kit.config import FREE_PORTS, Config
from services.kit.rpc.times import timestamp

STALL_S = 60.0
"""How long no stage may move before the replay gives up on them."""
LOOK_S = 0.1


class Progress(Protocol):
    """Hears how far a replay is."""

    def phase(self, phase: Phase) -> None:
        """Say what is done now."""

    def total(self, inputs: int) -> None:
        """Say how many inputs there are."""

    def sent(self, inputs: int, time_ms: int) -> None:
        """Say how many inputs are on disk, and the data's time at the last of them."""

    def behind(self, records: int) -> None:
        """Say how many records the slowest stage still has to apply."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What is replayed, into what."""

    source: Source
    audiences: Sequence[AudienceSpec]
    data_dir: Path
    clock: Clock
    progress: Progress
    limited: bool = False

    async def run(self) -> Outcome:
        """Play the whole source and return what came of it.

        Raises SourceError, LedgerError, DefinitionError, SendError, Behind, and what the suite
        raises at its start. After any of these the same call goes on where this one stopped.
        """
        watch = Stopwatch(self.clock)
        with watch.phase(Phase.READ):
            self.progress.phase(Phase.READ)
            known = ledger.open_ledger(self.data_dir, self.source.name, self.source.fingerprint)
            self.progress.total(self.source.prepare())
        with watch.phase(Phase.START):
            self.progress.phase(Phase.START)
            config = replay_config(self.data_dir, self.source.namespaces)
            open_directory(config)
            ledger.write_ledger(self.data_dir, known)
            suite = Suite(config)
            await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                session = Session(self, client, suite, watch, known)
                return await session.play()
        finally:
            await suite.stop()


class Session:
    """One replay while the services run."""

    def __init__(
        self,
        replay: Replay,
        client: Client,
        suite: Suite,
        watch: Stopwatch,
        known: ledger.Ledger,
    ) -> None:
        self._replay = replay
        self._client = client
        self._suite = suite
        self._watch = watch
        self._known = known
        self._repeats = 0

    async def play(self) -> Outcome:
        """Declare, send, settle, ask; then note in the ledger that all of it is there."""
        replay, watch = self._replay, self._watch
        from_ms, until_ms = replay.source.span_ms()
        stood_ms = _log_time_ms(await self._client.progress())
        with watch.phase(Phase.DECLARE):
            replay.progress.phase(Phase.DECLARE)
            if stood_ms < from_ms:
                await self._client.tick(from_ms - 1)
            await declare(self._client, replay.source.schema(), replay.audiences)
        sender = Sender(self._suite.address("profile"), replay.clock, self._answered)
        with watch.phase(Phase.SEND):
            replay.progress.phase(Phase.SEND)
            await sender.send(batched(self._counted(replay.source.inputs(), stood_ms)))
        with watch.phase(Phase.SETTLE):
            replay.progress.phase(Phase.SETTLE)
            stages = await self._settle(max(until_ms, stood_ms))
        with watch.phase(Phase.ASK):
            replay.progress.phase(Phase.ASK)
            revision = str(max(stage.inbound_position for stage in stages))
            found = await answers.outcomes(self._client, revision)
            found.sort(key=self._place)
            shown = await answers.example(self._client, found)
        transitions = sum(one.entered + one.left for one in found)
        ledger.write_ledger(
            replay.data_dir,
            ledger.Ledger(
                replay.source.name,
                replay.source.fingerprint,
                finished_ms=max(until_ms, self._known.finished_ms),
                transitions=transitions,
            ),
        )
        return Outcome(
            source=replay.source.name,
            noun=replay.source.noun,
            data_dir=replay.data_dir,
            span_ms=(from_ms, until_ms),
            tally=replay.source.tally,
            sent=sender.sent,
            audiences=found,
            phases_ms=watch.phases_ms,
            stood_ms=stood_ms,
            repeats=self._repeats,
            new_transitions=transitions - self._known.transitions,
            dead_letters=sum(stage.dead_letters for stage in stages),
            limited=replay.limited,
            example=shown,
        )

    def _place(self, one: AudienceOutcome) -> int:
        """Return where the audience stands in the file, behind all of them where it does not."""
        ids = [spec.audience_id for spec in self._replay.audiences]
        return ids.index(one.audience_id) if one.audience_id in ids else len(ids)

    def _counted(self, inputs: Iterator[Input], stood_ms: int) -> Iterator[Input]:
        """Pass inputs on, and count those of a former run: it took a beginning of them."""
        finished_ms = self._known.finished_ms
        for one in inputs:
            self._repeats += one.time_ms < stood_ms or one.time_ms <= finished_ms
            yield one

    def _answered(self, batch: Batch) -> None:
        self._replay.progress.sent(batch.first + batch.count, batch.last_ms)

    async def _settle(self, until_ms: int) -> Stages:
        """Move time to the end of the data; return once every stage has come that far."""
        revision = await self._tick(until_ms)
        held, since_ms = -1, self._replay.clock.monotonic_ms()
        while True:
            stages = await self._client.progress()
            reached = min(stage.inbound_position for stage in stages)
            if reached >= revision and not any(stage.in_flight for stage in stages):
                return stages
            self._replay.progress.behind(max(0, revision - reached))
            now_ms = self._replay.clock.monotonic_ms()
            if reached > held:
                held, since_ms = reached, now_ms
            elif now_ms - since_ms > STALL_S * 1000:
                slow = min(stages, key=lambda stage: stage.inbound_position)
                raise Behind(
                    f"stage {slow.stage} stands at {reached} of {revision} for {STALL_S:g} s"
                )
            await asyncio.sleep(LOOK_S)

    async def _tick(self, to_ms: int) -> int:
        request = clock_service_pb2.TickRequest(time=timestamp(to_ms))
        async with grpc.aio.insecure_channel(self._suite.address("identity")) as channel:
            answer = await ClockServiceStub(channel).Tick(request, timeout=STALL_S)
        return int(answer.revision)


def replay_config(data_dir: Path, namespaces: frozenset[str]) -> Config:
    """Return a configuration with a virtual clock, free ports and the namespaces of the data."""
    usual = Config().namespaces
    return Config(
        data_dir=data_dir,
        ports=FREE_PORTS,
        clock="virtual",
        namespaces=(*usual, *sorted(namespaces.difference(usual))),
    )


def _log_time_ms(stages: Stages) -> int:
    times = [stage.log_time.ToMilliseconds() for stage in stages if stage.HasField("log_time")]
    return max(times, default=0)
