"""A stream of batches, each answered in order, while later ones are on their way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


async def pipelined(
    requests: AsyncIterator[Request],
    begin: Callable[[Request], asyncio.Future[Answer]],
    bound: int,
) -> AsyncIterator[Answer]:
    """Yield the answer of each request, in order; at most `bound` are begun and not yielded.

    Where `begin` or a request raises, the answers of those before come first. What was begun is
    left to its owner when the caller goes away.
    """
    begun: deque[asyncio.Future[Answer]] = deque()
    ended: BaseException | None = None
    reading: asyncio.Future[Request] | None = asyncio.ensure_future(anext(requests))
    try:
        while reading is not None or begun:
            waits: list[asyncio.Future[Answer] | asyncio.Future[Request]] = []
            if begun:
                waits.append(begun[0])
            if reading is not None and len(begun) < bound:
                waits.append(reading)
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if reading is not None and reading.done() and len(begun) < bound:
                try:
                    begun.append(begin(reading.result()))
                    reading = asyncio.ensure_future(anext(requests))
                except StopAsyncIteration:
                    reading = None
                except Exception as error:  # noqa: BLE001  # kept, and raised after the answers before it
                    reading, ended = None, error
            while begun and begun[0].done():
                yield begun.popleft().result()
    finally:
        if reading is not None:
            reading.cancel()
    if ended is not None:
        raise ended
