"""The ticker: one tick a second in the inbound log, which is the only clock of every stage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.identity.domain.tick_guard import TickGuard
from services.kit.clock import Clock
from services.kit.stage import describe

PERIOD_S = 1.0

log = structlog.get_logger("ticker")


class Ticker:
    """Ticks by the machine's clock as long as that can be believed."""

    def __init__(
        self, clock: Clock, last_tick_ms: int | None, append: Callable[[int], Awaitable[int]]
    ) -> None:
        self._clock = clock
        self._append = append
        self._guard = TickGuard(last_tick_ms)

    @property
    def halted(self) -> str | None:
        """Return why there are no ticks any more, and what to do; None while they go on."""
        if not self._guard.is_halted:
            return None
        seconds = self._guard.leap_ms // 1_000
        return f"the clock leapt ahead by {seconds} s: if it is right now, restart this process"

    async def beat(self) -> None:
        """Append one tick, unless the clock has leapt."""
        was_halted = self._guard.is_halted
        time_ms = self._guard.next_ms(self._clock.now_ms(), self._clock.monotonic_ms())
        if time_ms is None:
            if not was_halted:
                log.error("ticker_halted", leap_ms=self._guard.leap_ms, detail=self.halted)
            return
        try:
            await self._append(time_ms)
        except Exception as error:  # noqa: BLE001  # time goes on: the next tick says what this one would have
            log.warning("tick_not_stored", error=describe(error))

    async def run(self) -> None:
        """Beat until cancelled, each time a second after the last beat began."""
        loop = asyncio.get_running_loop()
        while not self._guard.is_halted:
            due_s = loop.time() + PERIOD_S
            await self.beat()
            await asyncio.sleep(max(0.0, due_s - loop.time()))
