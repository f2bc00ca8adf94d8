"""A lock that is had in the order in which it was asked for."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class Turns:
    """A lock whose holder may take it again; who gives way comes after all who wait by then.

    A plain lock is had by whoever is awake when it comes free: one that is given back and taken
    again at once would keep the others out.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._holder = 0
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    def acquire(self) -> None:
        """Wait for one's turn."""
        me = threading.get_ident()
        with self._door:
            if self._holder in {0, me}:
                self._holder = me
                self._depth += 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append((me, turn))
        turn.acquire()

    def release(self) -> None:
        """Give it back, to whoever has waited longest."""
        with self._door:
            if self._holder != threading.get_ident():
                raise RuntimeError("expected the holder of the lock to give it back")
            self._depth -= 1
            if self._depth:
                return
            self._holder = 0
            if self._waiting:
                self._holder, turn = self._waiting.popleft()
                self._depth = 1
                turn.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        mistake: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
