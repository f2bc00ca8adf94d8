"""Where the time of a replay goes, phase by phase."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.host.replay.outcome import Phase
from services.kit.clock import Clock


class Stopwatch:
    """Adds up the milliseconds of each phase."""

    def __init__(self, clock: Clock) -> None:
        self.phases_ms: dict[Phase, int] = {}
        self._clock = clock

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Count the time of the block."""
        started_ms = self._clock.monotonic_ms()
        try:
            yield
        finally:
            spent_ms = self._clock.monotonic_ms() - started_ms
            self.phases_ms[phase] = self.phases_ms.get(phase, 0) + spent_ms
