"""Builds new audiences beside live traffic, slice by slice, and asks the log to swap them in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.kit.stage import describe
from services.segmentation import wire
from services.segmentation.domain import Definition
from services.segmentation.partition import Partition

SLICE_ROWS = 20_000
"""Rows of history a slice: some ten milliseconds in which live traffic waits."""
RETRY_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Builder:
    """One background task for all partitions of this process.

    An activation may be asked for twice, after a crash in between: its id is a function of what it
    does, so that the log keeps one.
    """

    def __init__(
        self,
        partitions: Callable[[], Sequence[Partition]],
        append: Callable[[bytes], Awaitable[int]],
        now_ms: Callable[[], int],
    ) -> None:
        self._partitions = partitions
        self._append = append
        self._now_ms = now_ms
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._asked: set[tuple[str, int]] = set()

    def wake(self) -> None:
        """Say that something was applied; called from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    @property
    def waiting(self) -> list[Definition]:
        """The versions that have yet to go live by themselves, or to be ready."""
        return [each for each in self._unbuilt() if each.automatic or not self._is_ready(each)]

    async def run(self) -> None:
        """Build whatever is proposed, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._build_all()
            except Exception as error:  # noqa: BLE001  # the root of the task: it logs and retries
                log.warning("build_failed", error=describe(error))
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _build_all(self) -> None:
        waiting = [each for each in self.waiting if _number(each) not in self._asked]
        if not waiting:
            return
        while not await asyncio.to_thread(self._slice):
            pass
        for definition in waiting:
            if not self._proposed_everywhere(definition):
                return  # those after it may be built on it, and go live after it
            if definition.automatic:
                await self._append(wire.activation(definition, self._now_ms()))
                self._asked.add(_number(definition))
                log.info("audience_built", audience=definition.audience_id)
            else:
                await asyncio.to_thread(self._make_ready, definition)

    def _unbuilt(self) -> list[Definition]:
        return self._partitions()[0].versions.library.unbuilt()

    def _is_ready(self, definition: Definition) -> bool:
        number = _number(definition)
        return all(each.versions.is_ready(*number) for each in self._partitions())

    def _make_ready(self, definition: Definition) -> None:
        """Compute who would be a member; what it refers to may have to go live before."""
        for partition in self._partitions():
            with partition.lock:
                partition.versions.make_ready(*_number(definition))

    def _proposed_everywhere(self, definition: Definition) -> bool:
        """Partitions read at their own speed: the last to see the proposal wakes us again."""
        partitions = self._partitions()
        return all(each.versions.library.coming(*_number(definition)) for each in partitions)

    def _slice(self) -> bool:
        done = True
        for partition in self._partitions():
            with partition.lock:
                done = partition.build(SLICE_ROWS) and done
        return done


def _number(definition: Definition) -> tuple[str, int]:
    return definition.audience_id, definition.version
