"""Takes the outbox to the inbound log: appended first, then taken off, so that nothing is lost.

What is appended twice, after a crash in between, has one input id and is one input.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import delete, select

from services.kit.failpoints import failpoint
from services.kit.sql import Database
from services.kit.stage import describe
from services.messaging import tables

BATCH = 500
PAUSE_S = 1.0
"""How long to leave the log alone after it failed."""

log = structlog.get_logger("messaging")


class Relay:
    """Appends what waits in the outbox; `wake` says that something does."""

    def __init__(self, database: Database, append: Callable[[bytes], Awaitable[int]]) -> None:
        self._database = database
        self._append = append
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look again; call it on the event loop."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            self._woken.clear()
            more = await self.attempt()
            if more is None:
                await asyncio.sleep(PAUSE_S)
            elif not more:
                await self._woken.wait()

    async def attempt(self) -> int | None:
        """Do as `relay`; None where it failed: what is not told now is told later."""
        try:
            return await self.relay()
        except Exception as error:  # noqa: BLE001 - the root of a task: it logs and tries again
            log.warning("outcomes_not_told", error=describe(error))
            return None

    async def relay(self) -> int:
        """Append what waits now, in order; return how much it was."""
        waiting = await asyncio.to_thread(self._waiting)
        if not waiting:
            return 0
        failpoint("messaging.settled")
        # Handed over at one go, so that they share a commit and keep their order.
        await asyncio.gather(*(self._append(payload) for _, payload in waiting))
        failpoint("messaging.reported")
        await asyncio.to_thread(self._take_off, [number for number, _ in waiting])
        return len(waiting)

    def _waiting(self) -> list[tuple[int, bytes]]:
        table = tables.outbox
        query = select(table.c.number, table.c.payload).order_by(table.c.number).limit(BATCH)
        with self._database.read() as connection:
            return [(row.number, row.payload) for row in connection.execute(query)]

    def _take_off(self, numbers: list[int]) -> None:
        table = tables.outbox
        with self._database.write() as connection:
            connection.execute(delete(table).where(table.c.number.in_(numbers)))
