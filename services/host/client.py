"""A client of all services, and the driver of a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from coterie.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
from coterie.journey.v1.journey_service_pb2_grpc import JourneyServiceStub
from coterie.messaging.v1.messaging_service_pb2_grpc import MessagingServiceStub
from coterie.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from coterie.rpc.v1 import clock_service_pb2, progress_service_pb2
from coterie.rpc.v1.clock_service_pb2_grpc import ClockServiceStub
from coterie.rpc.v1.progress_service_pb2_grpc import ProgressServiceStub
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from services.kit.rpc.channels import open_channel
from services.kit.rpc.times import timestamp
from services.kit.telemetry import Tracing

if TYPE_CHECKING:
    from coterie.identity.v1.identity_service_pb2_grpc import IdentityServiceAsyncStub
    from coterie.journey.v1.journey_service_pb2_grpc import JourneyServiceAsyncStub
    from coterie.messaging.v1.messaging_service_pb2_grpc import MessagingServiceAsyncStub
    from coterie.profile.v1.profile_service_pb2_grpc import ProfileServiceAsyncStub
    from coterie.rpc.v1.clock_service_pb2_grpc import ClockServiceAsyncStub
    from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceAsyncStub

Stages = Sequence[progress_service_pb2.StageProgress]

FIRST_LOOK_S = 0.001
LONGEST_LOOK_S = 0.05
"""How seldom progress is asked for at most; stages take a few milliseconds for a tick."""
WAIT_S = 60.0
MAX_TICKS_AN_INSTANT = 1000
"""What one instant brings about may bring about more at that instant, but not for ever."""


class Behind(Exception):
    """The stages did not come as far as expected in time, or what is due does not happen."""


class Client:
    """Stubs over one channel a service. Use as an asynchronous context manager."""

    def __init__(self, addresses: Mapping[str, str], tracing: Tracing | None = None) -> None:
        tracing = tracing or Tracing()
        self._channels = {name: open_channel(at, tracing) for name, at in addresses.items()}
        self._progress = [ProgressServiceStub(each) for each in self._channels.values()]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    @cached_property
    def identity(self) -> IdentityServiceAsyncStub:
        """The identity service."""
        return IdentityServiceStub(self._channels["identity"])

    @cached_property
    def profile(self) -> ProfileServiceAsyncStub:
        """The profile service."""
        return ProfileServiceStub(self._channels["profile"])

    @cached_property
    def segmentation(self) -> SegmentationServiceAsyncStub:
        """The segmentation service."""
        return SegmentationServiceStub(self._channels["segmentation"])

    @cached_property
    def messaging(self) -> MessagingServiceAsyncStub:
        """The messaging service."""
        return MessagingServiceStub(self._channels["messaging"])

    @cached_property
    def journey(self) -> JourneyServiceAsyncStub:
        """The journey service."""
        return JourneyServiceStub(self._channels["journey"])

    @cached_property
    def _clock(self) -> ClockServiceAsyncStub:
        return ClockServiceStub(self._channels["identity"])

    async def progress(self) -> Stages:
        """Return how far each stage of each service has come."""
        request = progress_service_pb2.GetProgressRequest()
        answers = await asyncio.gather(*(stub.GetProgress(request) for stub in self._progress))
        return [stage for answer in answers for stage in answer.stages]

    async def wait_progress(self, revision: str, timeout_s: float = WAIT_S) -> Stages:
        """Return once every stage holds the revision and has nothing in flight.

        Raises Behind after `timeout_s`. A revision that concerns one partition reaches the others
        with the next tick.
        """
        return await self._wait(lambda stage: _holds(stage, int(revision)), timeout_s)

    async def tick(self, to_ms: int, timeout_s: float = WAIT_S) -> Stages:
        """Move a virtual clock, and return once all that this brings about has happened.

        What a stage does may come back by the inbound log, such as a message that was sent.
        """
        answer = await self._clock.Tick(clock_service_pb2.TickRequest(time=timestamp(to_ms)))
        revision = int(answer.revision)
        return await self._wait(lambda stage: _holds(stage, revision) and _idle(stage), timeout_s)

    async def advance(self, to_ms: int, timeout_s: float = WAIT_S) -> None:
        """Move a virtual clock to `to_ms`, stopping at each instant at which something is due.

        So what one instant brings about, a send and its click, has happened before the next comes.
        Raises Behind where something stays due after its instant.
        """
        stages = await self.settle(timeout_s)
        last_ms, ticks = -1, 0
        while (due_ms := _least_due_ms(stages)) is not None and due_ms <= to_ms:
            now_ms = max(due_ms, _log_time_ms(stages))
            ticks = ticks + 1 if now_ms == last_ms else 0
            if ticks > MAX_TICKS_AN_INSTANT:
                raise Behind(f"{_due_stage(stages)} is due at {due_ms}, but it is {last_ms}")
            last_ms = now_ms
            stages = await self.tick(now_ms, timeout_s)
        await self.tick(to_ms, timeout_s)

    async def rest(self, timeout_s: float = WAIT_S) -> Stages:
        """Return once everything that is in the log has taken effect; the clock stands still.

        What is due at the time that the log has, such as a message of this instant, stays due.
        """
        return await self._wait(_idle, timeout_s)

    async def settle(self, timeout_s: float = WAIT_S) -> Stages:
        """Let everything that is in the log take effect, at the time that the log has."""
        stages = await self._wait(_idle, timeout_s)
        log_time_ms = _log_time_ms(stages)
        return await self.tick(log_time_ms, timeout_s) if log_time_ms else stages

    async def _wait(
        self, done: Callable[[progress_service_pb2.StageProgress], bool], timeout_s: float
    ) -> Stages:
        """Return once all stages are done, and were so at one instant.

        The services are asked one after the other. Positions never run back: two looks alike say
        that nothing moved between them, so that all of it held in that moment.
        """
        pause_s = FIRST_LOOK_S
        former: Stages = ()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    stages = await self.progress()
                    if all(map(done, stages)):
                        if stages == former:
                            return stages
                        former = stages
                        continue
                    former = ()
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_LOOK_S)
        except TimeoutError:
            late = [_describe(stage) for stage in stages if not done(stage)]
            raise Behind(f"after {timeout_s:g} s still behind: {'; '.join(late)}") from None


def _holds(stage: progress_service_pb2.StageProgress, revision: int) -> bool:
    return stage.inbound_position >= revision and not stage.in_flight


def _idle(stage: progress_service_pb2.StageProgress) -> bool:
    return stage.position >= stage.tail and not stage.in_flight


def _log_time_ms(stages: Stages) -> int:
    times = [stage.log_time.ToMilliseconds() for stage in stages if stage.HasField("log_time")]
    return max(times, default=0)


def _least_due_ms(stages: Stages) -> int | None:
    due = [s.next_due_time.ToMilliseconds() for s in stages if s.HasField("next_due_time")]
    return min(due, default=None)


def _due_stage(stages: Stages) -> str:
    due = [stage for stage in stages if stage.HasField("next_due_time")]
    return _name(min(due, key=lambda stage: stage.next_due_time.ToMilliseconds()))


def _name(stage: progress_service_pb2.StageProgress) -> str:
    return f"{stage.stage}-{stage.partition}"


def _describe(stage: progress_service_pb2.StageProgress) -> str:
    return (
        f"{_name(stage)} at inbound {stage.inbound_position}, record {stage.position} of"
        f" {stage.tail}, {stage.in_flight} in flight"
    )
