"""How far the stages behind the log may lag before intake waits for them."""

from __future__ import annotations

from collections.abc import Callable

from services.kit.errors import Exhausted


class Backlog:
    """Compares the end of the inbound log, as known here, with the slowest profile projection.

    Identity is before it and so counts too; segmentation reads the same facts and does not yet.
    """

    def __init__(self, slowest: Callable[[], int], limit: int, last_seq: int = 0) -> None:
        self._slowest = slowest
        self._limit = limit
        self._last_seq = last_seq

    def appended(self, seq: int) -> None:
        """Note that the inbound log has come to `seq`."""
        self._last_seq = max(self._last_seq, seq)

    def refusal(self) -> Exhausted | None:
        """Return the error with which to refuse more, or None where there is room."""
        lag = self._last_seq - self._slowest()
        if lag <= self._limit:
            return None
        return Exhausted(
            "BACKLOG_FULL",
            f"expected the stages to be at most {self._limit} records behind the log,"
            f" found {lag}; try again later",
            {"lag": str(lag), "limit": str(self._limit)},
        )
