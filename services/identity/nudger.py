"""Keeps the log moving while something waits for its next record and nobody else may write one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.kit.stage import describe

log = structlog.get_logger("nudger")


class Nudger:
    """Calls `nudge` on this event loop, once for any number of wakes; `wake` is for any thread."""

    def __init__(self, nudge: Callable[[], Awaitable[None]]) -> None:
        self._nudge = nudge
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="nudger")

    def wake(self) -> None:
        """Ask for a record."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wanted.set)

    async def stop(self) -> None:
        """Ask for no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._nudge()
            except Exception as error:  # noqa: BLE001  # any other record does as well
                log.warning("nudge_not_stored", error=describe(error))
