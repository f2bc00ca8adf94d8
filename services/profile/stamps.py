"""When an input is received: by the gateway's clock or, where that is virtual, as the input says.

The log's time may be at most two seconds ahead of its last tick, and what time changes before an
instant comes before an input at it. So a stamp that goes on in virtual time brings a tick first.
"""

from __future__ import annotations

from collections.abc import Callable

from services.kit.clock import Clock, ManualClock
from services.kit.errors import FailedPrecondition


class Stamps:
    """The stamps of one gateway: they never run back. `virtual` is the virtual clock, if there.

    `log_time_ms` tells how far time has come in the log: where identity is another process, its
    ticks move no clock here.
    """

    def __init__(
        self,
        clock: Clock,
        virtual: ManualClock | None = None,
        last_ms: int = 0,
        log_time_ms: Callable[[], int] = int,
    ) -> None:
        self._clock = clock
        self._virtual = virtual
        self._log_time_ms = log_time_ms
        self._last_ms = last_ms
        self._ticked = True
        self._follow(last_ms)

    def begin(self) -> None:
        """Read the clock, for all inputs of a batch that say nothing of their receipt."""
        if self._virtual is not None:
            self._follow(self._log_time_ms())
        self._last_ms = max(self._last_ms, self._clock.now_ms())

    @property
    def last_ms(self) -> int:
        """The last stamp: what an input gets that says nothing of its receipt."""
        return self._last_ms

    def propose(self, received_ms: int) -> int:
        """Return the stamp of an input that says when it is received; a past one is the last stamp.

        Raises FailedPrecondition, reason CLOCK_NOT_VIRTUAL, where the clock is the machine's.
        """
        if self._virtual is None:
            raise FailedPrecondition(
                "CLOCK_NOT_VIRTUAL",
                "received_time: only a deployment with a virtual clock takes it",
                {"field": "received_time"},
            )
        return max(received_ms, self._last_ms)

    def take(self, stamp_ms: int) -> int | None:
        """Note that `stamp_ms`, as proposed, is used; return the tick to put before it, if any."""
        if stamp_ms == self._last_ms and self._ticked:
            return None
        self._last_ms = stamp_ms
        self._ticked = True
        self._follow(stamp_ms)
        return stamp_ms - 1

    def doubt(self) -> None:
        """Say that an append failed: its ticks may be missing, so the next stamp brings one."""
        self._ticked = self._virtual is None

    def _follow(self, stamp_ms: int) -> None:
        if self._virtual is not None and self._virtual.now_ms() < stamp_ms:
            self._virtual.move_to(stamp_ms)
