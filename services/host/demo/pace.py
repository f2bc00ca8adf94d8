"""How time passes in the story: on a virtual clock in leaps, on the machine's as it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from coterie.profile.v1 import profile_service_pb2 as pb
from services.host.client import Client
from services.kit.clock import Clock
from services.kit.rpc.times import timestamp

LOOK_S = 0.2
"""How often a story in real time looks at what has become of it."""


class Pace(Protocol):
    """Lets time come to an instant of the story, and sends inputs then."""

    @property
    def start_ms(self) -> int:
        """The instant at which the story begins."""

    async def until(self, at_ms: int, look: Callable[[], Awaitable[None]]) -> None:
        """Return when it is `at_ms` after the start; `look` is called as things happen."""

    async def send(self, inputs: list[pb.IngestInput], at_ms: int) -> str:
        """Send inputs at that instant; return the revision."""


class Leaps:
    """A virtual clock, which nobody else moves."""

    def __init__(self, client: Client, start_ms: int) -> None:
        self._client = client
        self.start_ms = start_ms

    async def until(self, at_ms: int, look: Callable[[], Awaitable[None]]) -> None:
        """Leap from one instant at which something is due to the next."""
        await self._client.advance(self.start_ms + at_ms)
        await look()

    async def send(self, inputs: list[pb.IngestInput], at_ms: int) -> str:
        """Send inputs with their stamp, and let everything happen that they bring about."""
        for one in inputs:
            one.received_time.CopyFrom(timestamp(self.start_ms + at_ms))
        revision = await _ingest(self._client, inputs)
        await self._client.settle()
        return revision


class Seconds:
    """The machine's clock."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.start_ms = clock.now_ms()

    async def until(self, at_ms: int, look: Callable[[], Awaitable[None]]) -> None:
        """Wait, and look now and then."""
        while (left_ms := self.start_ms + at_ms - self._clock.now_ms()) > 0:
            await asyncio.sleep(min(LOOK_S, left_ms / 1000))
            await look()

    async def send(self, inputs: list[pb.IngestInput], at_ms: int) -> str:
        """Send inputs now."""
        del at_ms
        return await _ingest(self._client, inputs)


async def _ingest(client: Client, inputs: list[pb.IngestInput]) -> str:
    answer = await client.profile.IngestBatch(pb.IngestBatchRequest(inputs=inputs))
    if answer.refused:
        raise ValueError(f"the story was refused: {answer.refused[0].error.message}")
    return answer.revision
