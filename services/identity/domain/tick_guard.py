"""Which time a tick may tell, given a clock that may be wrong."""

from __future__ import annotations

LEAP_LIMIT_MS = 5 * 60 * 1_000
"""How far the clock may run ahead of the steady one between two ticks: a correction, not a leap.

A leap would make due at once all that falls due in it, and nobody could take that back.
"""


class TickGuard:
    """Holds the clock against a steady one, tick by tick.

    A clock that goes back stands still until it is there again. One that leaps ahead of where it
    was ends the ticks; a new guard, that is a restart of the process, takes the new time as right.
    """

    def __init__(self, last_tick_ms: int | None) -> None:
        self._last_ms = last_tick_ms or 0
        self._former: tuple[int, int] | None = None
        self.leap_ms = 0

    @property
    def is_halted(self) -> bool:
        """Whether a leap has ended the ticks."""
        return self.leap_ms > 0

    def next_ms(self, clock_ms: int, steady_ms: int) -> int | None:
        """Return the time of the next tick, None where a leap has ended the ticks."""
        if self._former is not None and not self.is_halted:
            ahead_ms = (clock_ms - self._former[0]) - (steady_ms - self._former[1])
            self.leap_ms = ahead_ms if ahead_ms > LEAP_LIMIT_MS else 0
        if self.is_halted:
            return None
        if clock_ms >= self._last_ms:
            # Not while it is behind: to catch up then is no leap.
            self._former = clock_ms, steady_ms
            self._last_ms = clock_ms
        return self._last_ms
