"""Reads after writes: a read waits until the projection has reached the position it names."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable

from coterie.rpc.v1 import consistency_pb2
from services.kit.errors import InvalidArgument

MAX_SEQ = (1 << 63) - 1


class Freshness:
    """The inbound position up to which all partitions of a projection have come.

    `reached` is called from stage threads, `wait_for` from any event loop.
    """

    def __init__(self, partitions: int = 1) -> None:
        self._positions = [0] * partitions
        self._position = 0
        self._lock = threading.Lock()
        self._waiters: list[tuple[int, int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def position(self) -> int:
        """The position that every partition has reached."""
        return self._position

    def reached(self, inbound_seq: int, partition: int = 0) -> None:
        """Say how far a partition has come; after a recovery that may be less far than before."""
        with self._lock:
            self._positions[partition] = inbound_seq
            self._position = min(self._positions)
            while self._waiters and self._waiters[0][0] <= self._position:
                _, _, loop, future = heapq.heappop(self._waiters)
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_wake, future)

    async def wait_for(self, inbound_seq: int) -> None:
        """Return once every partition has reached it; the call's deadline ends the wait."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._position >= inbound_seq:
                return
            future: asyncio.Future[None] = loop.create_future()
            waiter = (inbound_seq, next(self._order), loop, future)
            heapq.heappush(self._waiters, waiter)
        try:
            await future
        except asyncio.CancelledError:
            self._forget(waiter)
            raise

    def _forget(
        self, waiter: tuple[int, int, asyncio.AbstractEventLoop, asyncio.Future[None]]
    ) -> None:
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def format_revision(inbound_seq: int) -> str:
    """Return the token of an inbound position."""
    return str(inbound_seq)


def parse_revision(text: str, field: str) -> int:
    """Return the inbound position of a token; raises InvalidArgument, reason INVALID_TOKEN.

    >>> parse_revision("42", "revision")
    42
    """
    if text.isascii() and text.isdecimal() and len(text) < len(str(MAX_SEQ)):
        return int(text)
    raise _foreign(field)


async def check_token(
    consistency: consistency_pb2.Consistency, freshness: Freshness, latest: Callable[[], int]
) -> int:
    """Return the position of the revision that is demanded, 0 for none; see `settle`.

    Who asks another service on behalf of the call checks first: its refusal would name its field.
    """
    if not consistency.HasField("at_least"):
        return 0
    wanted = parse_revision(consistency.at_least, "consistency.at_least")
    if wanted > freshness.position and wanted > await asyncio.to_thread(latest):
        raise _foreign("consistency.at_least")
    return wanted


async def settle(
    consistency: consistency_pb2.Consistency, freshness: Freshness, latest: Callable[[], int]
) -> None:
    """Return once the projection is as fresh as the call demands.

    `latest` reads the last inbound position from the log; it runs on a thread. Raises
    InvalidArgument for a revision that no write has returned yet, since the wait would never end.
    """
    match consistency.WhichOneof("requirement"):
        case "at_least":
            wanted = await check_token(consistency, freshness, latest)
        case "latest" if consistency.latest:
            wanted = await asyncio.to_thread(latest)
        case _:
            return
    await freshness.wait_for(wanted)


def _foreign(field: str) -> InvalidArgument:
    return InvalidArgument(
        "INVALID_TOKEN",
        f"{field}: expected the `revision` that a write returned, found another text",
        {"field": field},
    )
