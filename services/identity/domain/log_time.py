"""The log's time: the greatest stamp so far, where one wrong clock moves nobody."""

from __future__ import annotations

AHEAD_LIMIT_MS = 2_000
"""A stamp this far ahead of the last tick is taken as that: ticks come each second."""

ANY_MS = 2**63 - 1
"""What no stamp is beyond."""


class LogTime:
    """Log time and the last tick. Before the first tick a stamp is taken as it is."""

    __slots__ = ("last_tick_ms", "now_ms")

    def __init__(self, now_ms: int = 0, last_tick_ms: int | None = None) -> None:
        self.now_ms = now_ms
        self.last_tick_ms = last_tick_ms

    @property
    def limit_ms(self) -> int:
        """The greatest stamp that is taken as it is."""
        return ANY_MS if self.last_tick_ms is None else self.last_tick_ms + AHEAD_LIMIT_MS

    def stamp(self, received_ms: int) -> int:
        """Take in one input's stamp; return it, at most AHEAD_LIMIT_MS ahead of the last tick."""
        received_ms = min(received_ms, self.limit_ms)
        self.now_ms = max(self.now_ms, received_ms)
        return received_ms

    def tick(self, received_ms: int) -> int:
        """Take in a tick; return its stamp. A tick may jump ahead, and has no effect going back."""
        self.last_tick_ms = max(self.last_tick_ms or 0, received_ms)
        self.now_ms = max(self.now_ms, received_ms)
        return received_ms
