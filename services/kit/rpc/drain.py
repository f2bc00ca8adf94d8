"""Draining: what has begun is finished; a stream without an end is ended so that it can resume."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.kit.errors import Unavailable

STREAM_GRACE_S = 1.0
"""What a stream gets to answer what it has read; a watcher would never end by itself."""


class Drain:
    """Which streams one server has open, and whether it is stopping."""

    def __init__(self) -> None:
        self.begun = False
        self._streams: set[asyncio.Task[object]] = set()
        self._cut: set[asyncio.Task[object]] = set()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Hold the present task as a stream; raises Unavailable where draining ended it."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is served by a task")
        self._streams.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._cut:
                raise
            task.uncancel()
            raise stopping() from None
        finally:
            self._streams.discard(task)
            self._cut.discard(task)

    async def run(self, grace_s: float) -> None:
        """Let no stream read on, wait for those that end, cut the others."""
        self.begun = True
        if self._streams:
            await asyncio.wait(self._streams, timeout=min(grace_s, STREAM_GRACE_S))
        for task in tuple(self._streams):
            self._cut.add(task)
            task.cancel()


def stopping() -> Unavailable:
    """Return the failure of a call that this process no longer serves."""
    return Unavailable("UNAVAILABLE", "the service is stopping: call again")
