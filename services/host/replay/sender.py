"""Streams batches over one Ingest call, with a bound on those that are not answered yet.

When the call breaks, what was not answered is sent again with the same ids, in the same order, over
a new one: what had been accepted has no effect a second time. So what is accepted is always a
beginning of the data.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.rpc.v1 import error_reason_pb2
from services.host.replay.batches import Batch
from services.kit.clock import Clock

METHOD = "/coterie.profile.v1.ProfileService/Ingest"
IN_FLIGHT = 8
"""Batches on their way: enough to keep the disk busy, few enough to send again."""
RETRYABLE = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
LOST_RACE = "Internal error from Core"
"""What gRPC says, in place of the server's status, where a write met the end of the call."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
PATIENCE_S = 120.0
"""How long nothing may be accepted before the replay gives up."""
SHOWN_IDS = 5


class SendError(Exception):
    """The API refused to go on: its status and its words."""


@dataclass(slots=True)
class Sent:
    """What was answered so far."""

    inputs: int = 0
    accepted: int = 0
    batches: int = 0
    again: int = 0
    revision: str = ""
    encode_ms: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_ids: dict[str, list[str]] = field(default_factory=dict)

    def note(self, batch: Batch, answer: pb.IngestResponse) -> None:
        """Count the answer of one batch."""
        self.inputs += batch.count
        self.batches += 1
        self.accepted += answer.accepted_count
        self.revision = answer.revision or self.revision
        for one in answer.refused:
            name = error_reason_pb2.ErrorReason.Name(one.error.reason)
            reason = f"{name.removeprefix('ERROR_REASON_')}: {one.error.message}"
            self.refused[reason] += 1
            shown = self.refused_ids.setdefault(reason, [])
            if len(shown) < SHOWN_IDS:
                shown.append(one.input_id)


class Sender:
    """Sends batches to the profile service; `on_answer` hears of each that is on disk."""

    def __init__(self, address: str, clock: Clock, on_answer: Callable[[Batch], None]) -> None:
        self.sent = Sent()
        self._address = address
        self._clock = clock
        self._on_answer = on_answer
        self._unanswered: deque[Batch] = deque()
        self._answered = asyncio.Event()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._exhausted = False
        self._failure: Exception | None = None

    async def send(self, batches: Iterator[Batch]) -> None:
        """Return once every batch is answered; raises SendError, and what `batches` raises."""
        pause_s = FIRST_PAUSE_S
        patient_until_ms = self._patience()
        async with grpc.aio.insecure_channel(self._address) as channel:
            # The requests are bytes already.
            method: Any = channel.stream_stream(
                METHOD,
                request_serializer=None,
                response_deserializer=pb.IngestResponse.FromString,
            )
            while not (self._exhausted and not self._unanswered):
                answered = self.sent.batches
                try:
                    await self._stream(method(), batches)
                except grpc.aio.AioRpcError as error:
                    if self.sent.batches > answered:
                        pause_s, patient_until_ms = FIRST_PAUSE_S, self._patience()
                    self._give_up(error, patient_until_ms)
                    self.sent.again += len(self._unanswered)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _patience(self) -> int:
        return self._clock.monotonic_ms() + round(PATIENCE_S * 1000)

    def _give_up(self, error: grpc.aio.AioRpcError, patient_until_ms: int) -> None:
        passing = error.code() in RETRYABLE or error.details() == LOST_RACE
        if passing and self._clock.monotonic_ms() < patient_until_ms:
            return
        waited = f" for {PATIENCE_S:g} s" if passing else ""
        raise SendError(f"Ingest answers {error.code().name}{waited}: {error.details()}") from None

    async def _stream(self, call: Any, batches: Iterator[Batch]) -> None:
        writing = asyncio.create_task(self._write(call, batches), name="replay-write")
        try:
            async for answer in call:
                batch = self._unanswered.popleft()
                self._room.release()
                self._answered.set()
                self.sent.note(batch, answer)
                self._on_answer(batch)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            call.cancel()
        if self._failure is not None:
            raise self._failure

    async def _write(self, call: Any, batches: Iterator[Batch]) -> None:
        """Write what is to be sent again, then what is new; a broken call shows to the reader."""
        try:
            for batch in tuple(self._unanswered):
                # One at a time: what refuses the first of them then shows with its own status.
                self._answered.clear()
                await call.write(batch.data)
                await self._answered.wait()
            while not self._exhausted:
                await self._room.acquire()
                if not self._encode(batches):
                    break
                await call.write(self._unanswered[-1].data)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return

    def _encode(self, batches: Iterator[Batch]) -> bool:
        started_ms = self._clock.monotonic_ms()
        try:
            batch = next(batches, None)
        except Exception as error:  # noqa: BLE001 - raised again by the task that reads the answers
            self._failure, batch = error, None
        self.sent.encode_ms += self._clock.monotonic_ms() - started_ms
        if batch is None:
            self._exhausted = True
            self._room.release()
            return False
        self._unanswered.append(batch)
        return True
