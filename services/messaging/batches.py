"""What many tasks ask for one at a time, done for all of them at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from services.kit.stage import is_passing

BATCH = 200
"""How much is done at once, at most: the more, the longer others wait for their turn."""


Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Waiting(NamedTuple, Generic[Asked, Answer]):
    asked: Asked
    answer: asyncio.Future[Answer]


class Batches(Generic[Asked, Answer]):
    """Calls `work` on a thread with what has gathered, one batch after the other.

    Nobody waits for a batch to fill: who comes alone is a batch of one, and who comes while one is
    under way shares the next. `work` returns an answer for each, or raises and has then done
    nothing at all: the batch is done again one at a time, so that one of them fails no other.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answer]]) -> None:
        self._work = work
        self._queue: deque[_Waiting[Asked, Answer]] = deque()
        self._draining: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer to this one; raises what went wrong with it."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(asked, answer))
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
            # Whoever was cancelled while waiting is asked for no more.
            await self._do([each for each in batch if not each.answer.done()])

    async def _do(self, batch: Sequence[_Waiting[Asked, Answer]]) -> None:
        if not batch:
            return
        try:
            answers = await asyncio.to_thread(self._work, [each.asked for each in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked has to hear of it
            if len(batch) > 1 and not is_passing(error):
                for each in batch:
                    await self._do([each])
                return
            for each in batch:
                if not each.answer.done():
                    each.answer.set_exception(error)
            return
        for each, answer in zip(batch, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(answer)
