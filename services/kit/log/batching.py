"""Group commit: many callers of one event loop share an append; each learns its own sequence."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from services.kit.errors import Exhausted
from services.kit.failpoints import failpoint
from services.kit.log.port import APPEND_LIMIT_BYTES, Entry, Log, LogError

QUEUE_LIMIT_BYTES = 8 * APPEND_LIMIT_BYTES
"""What may wait for the disk: some seconds of it. More would only be answered later."""

JOIN_BYTES = 32 * 1024
"""How large a record may become by joining: fewer than a thousand of the smallest events."""

SMALL_BYTES = 16 * 1024
RESERVE_BYTES = APPEND_LIMIT_BYTES
"""What small payloads may take beyond the limit: a change of consent is not refused for bulk."""

BATCH_LIMIT = 1000
"""Records in one append: a cluster's engine takes no more in one batch."""


class _Waiting(NamedTuple):
    payload: bytes
    answer: asyncio.Future[int]


class GroupCommit:
    """Appends to one log from one event loop: what arrives during a commit goes into the next one.

    One thread writes. A caller that is cancelled learns nothing, and its record is written all the
    same: it was handed over.

    With `join_bytes`, neighbours become one record of up to so many bytes: for payloads that can be
    put end to end, as protobuf messages of repeated fields can. Each record costs every stage a
    little, however few events it holds; a thousand callers with an event each should be one.
    """

    def __init__(
        self, log: Log, queue_limit_bytes: int = QUEUE_LIMIT_BYTES, join_bytes: int = 0
    ) -> None:
        self._log = log
        self._queue_limit_bytes = queue_limit_bytes
        self._join_bytes = join_bytes
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"append-{log.name}")
        self._draining: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, payload: bytes) -> int:
        """Return the sequence of the record once it is on disk.

        Raises LogError where its commit failed, after which it is not known whether it was written;
        Exhausted where too much waits already, and ValueError for more than one append can hold.
        """
        if self._closed:
            raise LogError(f"log {self._log.name}: closed for appends")
        if len(payload) > APPEND_LIMIT_BYTES:
            raise ValueError(
                f"log {self._log.name}: expected at most {APPEND_LIMIT_BYTES} bytes, "
                f"found {len(payload)}"
            )
        reserve = RESERVE_BYTES if len(payload) <= SMALL_BYTES else 0
        full = self._queued_bytes + len(payload) > self._queue_limit_bytes + reserve
        if self._queue and full:
            raise Exhausted("BACKLOG_FULL", "too much waits to be stored; try again later")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(payload, answer))
        self._queued_bytes += len(payload)
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        return await answer

    async def close(self) -> None:
        """Refuse new appends, and return once those that wait have their answer."""
        self._closed = True
        if self._draining is not None:
            await asyncio.shield(self._draining)
        self._writer.shutdown(wait=False)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = self._take()
            records = self._joined(batch)
            entries = [Entry(b"".join(each.payload for each in record)) for record in records]
            try:
                last = await loop.run_in_executor(self._writer, self._log.append, entries)
            except Exception as error:  # noqa: BLE001  # whatever it is, each caller has to hear of it
                self._fail(batch, error)
            else:
                failpoint(f"{self._log.name}.appended")
                for seq, record in enumerate(records, last - len(records) + 1):
                    for waiting in record:
                        if not waiting.answer.done():
                            waiting.answer.set_result(seq)
        self._draining = None

    def _take(self) -> Sequence[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < BATCH_LIMIT:
            size += len(self._queue[0].payload)
            if size > APPEND_LIMIT_BYTES:
                break
            waiting = self._queue.popleft()
            self._queued_bytes -= len(waiting.payload)
            batch.append(waiting)
        return batch

    def _joined(self, batch: Sequence[_Waiting]) -> list[list[_Waiting]]:
        """Return what shares a record."""
        records: list[list[_Waiting]] = []
        size = 0
        for waiting in batch:
            size += len(waiting.payload)
            if not records or size > self._join_bytes:
                records.append([])
                size = len(waiting.payload)
            records[-1].append(waiting)
        return records

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                failure = LogError(f"log {self._log.name}: the commit failed: {error}")
                failure.__cause__ = error
                waiting.answer.set_exception(failure)
