"""Sends what is due when it is due, whatever the former answers take: the open loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import error_reason_pb2
from services.host.load.maker import Batches
from services.host.load.options import LoadOptions
from services.host.load.record import INGEST, LATE, READ, Recorder
from services.host.load.requests import INGEST_ARRIVALS, READ_ARRIVALS, Requests
from services.host.load.schedule import SECOND_US, arrivals_us
from services.host.load.wires import Wires
from services.kit.clock import SteadyClock

MOST_OUTSTANDING = 10_000
"""Calls without an answer; what is due beyond is counted as not sent, or memory would fill up."""
NOT_SENT = "NOT_SENT"
UNANSWERED = "UNANSWERED"
LONGEST_NAP_S = 0.1
"""How late a stop is seen."""


@dataclass(slots=True)
class Timeline:
    """The time of a run: 0 is where the warm-up ends. `stop` ends it early."""

    clock: SteadyClock
    zero_us: int
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def now_us(self) -> int:
        """Return microseconds since the warm-up ended, negative before."""
        return self.clock.monotonic_us() - self.zero_us

    async def reach(self, due_us: int) -> bool:
        """Return once an instant has come; False where the run was stopped before."""
        while (rest_us := due_us - self.now_us()) > 0 and not self.stop.is_set():  # noqa: ASYNC110  time alone ends it
            await asyncio.sleep(min(rest_us / SECOND_US, LONGEST_NAP_S))
        return not self.stop.is_set()


class Calls:
    """The calls on their way; each is a task, and none is waited for before the end."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: dict[asyncio.Task[None], tuple[str, int]] = {}
        self.failure: BaseException | None = None

    @property
    def outstanding(self) -> int:
        """How many have no answer yet."""
        return len(self._waiting)

    def begin(self, name: str, due_us: int, call: Coroutine[Any, Any, None]) -> None:
        """Run a call, unless too many wait already."""
        if len(self._waiting) >= MOST_OUTSTANDING:
            call.close()
            self._recorder.failed(name, due_us, NOT_SENT)
            return
        task = asyncio.get_running_loop().create_task(call)
        self._waiting[task] = name, due_us
        task.add_done_callback(self._ended)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is on its way; what has no answer by then is counted as such."""
        if self._waiting:
            await asyncio.wait(tuple(self._waiting), timeout=timeout_s)
        for task, (name, due_us) in tuple(self._waiting.items()):
            self._recorder.failed(name, due_us, UNANSWERED)
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._waiting.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self.failure = self.failure or task.exception()


class Driver:
    """Sends the events and the reads of one run."""

    def __init__(  # noqa: PLR0913, PLR0917  what a run is made of
        self,
        options: LoadOptions,
        requests: Requests,
        wires: Wires,
        recorder: Recorder,
        timeline: Timeline,
        calls: Calls,
    ) -> None:
        self._options = options
        self._requests = requests
        self._wires = wires
        self._recorder = recorder
        self._timeline = timeline
        self._calls = calls

    async def ingest(self, batches: Batches) -> None:
        """Send the batches at their instants."""
        for due_us in batch_times(self._options):
            batch = await batches.next()
            if not await self._timeline.reach(due_us):
                return
            self._recorder.asked(INGEST, due_us, self._options.batch)
            self._late(due_us)
            self._calls.begin(INGEST, due_us, self._ingest(batch, due_us))

    async def read(self, known: list[int]) -> None:
        """Ask for memberships at their instants."""
        size = self._options.read_batch
        many = size > 1
        for number, due_us in enumerate(_times(self._options, READ_ARRIVALS, self._options.reads)):
            request = (
                self._requests.read_many(number, size, known)
                if many
                else self._requests.read(number)
            )
            if not await self._timeline.reach(due_us):
                return
            self._recorder.asked(READ, due_us)
            self._late(due_us)
            self._calls.begin(READ, due_us, self._read(request, due_us))

    def _late(self, due_us: int) -> None:
        self._recorder.asked(LATE, due_us)
        self._recorder.answered(LATE, due_us, self._timeline.now_us())

    async def _ingest(self, batch: bytes, due_us: int) -> None:
        call = self._wires.ingest()(batch, timeout=self._options.timeout_s)
        answer = await self._guarded(INGEST, due_us, call)
        if answer is not None:
            now_us = self._timeline.now_us()
            self._recorder.answered(INGEST, due_us, now_us, answer.accepted_count)
            self._recorder.refused(due_us, map(reason_of, answer.refused))

    async def _read(self, request: bytes, due_us: int) -> None:
        method = self._wires.read(many=self._options.read_batch > 1)
        call = method(request, timeout=self._options.timeout_s)
        if await self._guarded(READ, due_us, call) is not None:
            self._recorder.answered(READ, due_us, self._timeline.now_us())

    async def _guarded(self, name: str, due_us: int, call: Awaitable[Any]) -> Any:
        """Return the answer, or None after counting the error."""
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            self._recorder.failed(name, due_us, error.code().name)
            return None


def batch_times(options: LoadOptions) -> Iterator[int]:
    """Yield when each batch of events is due."""
    return _times(options, INGEST_ARRIVALS, options.rate / options.batch)


def probe_times(options: LoadOptions, stream: int) -> Iterator[int]:
    """Yield when each probe is due."""
    return _times(options, stream, options.probes)


def reason_of(refused: profile_pb.RefusedInput) -> str:
    """Return why an input was refused, without what was in it."""
    name = error_reason_pb2.ErrorReason.Name(refused.error.reason)
    return name.removeprefix("ERROR_REASON_")


def _times(options: LoadOptions, stream: int, rate: float) -> Iterator[int]:
    """Yield instants with 0 at the end of the warm-up."""
    warmup_us = round(options.warmup_s * SECOND_US)
    total_us = round(options.total_s * SECOND_US)
    return (at - warmup_us for at in arrivals_us(options.seed, stream, rate, total_us))
