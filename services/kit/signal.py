"""A number that only grows and that threads can wait for, such as the end of a log."""

from __future__ import annotations

import threading


class Signal:
    """Wakes the threads of this process that wait for a number to be passed."""

    def __init__(self) -> None:
        self._latest = 0
        self._grown = threading.Condition()

    @property
    def latest(self) -> int:
        """The greatest number that was told."""
        return self._latest

    def tell(self, number: int) -> None:
        """Say that `number` is reached; a smaller one than before is old news."""
        with self._grown:
            if number > self._latest:
                self._latest = number
                self._grown.notify_all()

    def wait_beyond(self, number: int, timeout_s: float) -> bool:
        """Return True once a number greater than `number` was told, False after the timeout."""
        with self._grown:
            return self._grown.wait_for(lambda: self._latest > number, timeout_s)
