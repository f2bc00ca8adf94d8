"""The one place where time is read. Everything else takes time as a value, in milliseconds UTC."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Return milliseconds UTC."""

    def monotonic_ms(self) -> int:
        """Return milliseconds since some start; never runs back or leaps."""


class SteadyClock(Clock, Protocol):
    """Tells also what is shorter than a millisecond: for those who measure."""

    def monotonic_us(self) -> int:
        """Return microseconds since some start; never runs back or leaps."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return milliseconds UTC, as the machine has it."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Return milliseconds of the machine's steady clock."""
        return time.monotonic_ns() // 1_000_000

    def monotonic_us(self) -> int:
        """Return microseconds of the machine's steady clock."""
        return time.monotonic_ns() // 1000


class ManualClock:
    """A clock that stands still until it is told to move: the virtual clock, and tests."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the time that was set last."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Return the same: a manual clock has one time."""
        return self._now_ms

    def monotonic_us(self) -> int:
        """Return the same in microseconds."""
        return self._now_ms * 1000

    def move_to(self, now_ms: int) -> None:
        """Set the time; raises ValueError for a step back."""
        if now_ms < self._now_ms:
            raise ValueError(f"a clock goes forward: it is {self._now_ms}, asked for {now_ms}")
        self._now_ms = now_ms
