"""An oracle that shares no code with Coterie: prefix sums over one person's rows, step by step.

A step is an input, in its order, or an instant at which some row leaves some window. At a step the
rows that arrived so far and are younger than the window count. At one instant inputs come before
what time changes, so a row that leaves just then still counts for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EVER = 1 << 60


@dataclass
class Tally:
    members: set[str]
    entered: int = 0
    left: int = 0


class Person:
    """Rows of one person in order of arrival, and the steps up to the end of the data."""

    def __init__(self, times_ms: np.ndarray, windows_ms: tuple[int, ...], end_ms: int) -> None:
        self.times = times_ms
        clock = np.unique(np.concatenate([times_ms + window for window in windows_ms]))
        clock = clock[clock <= end_ms]
        at = np.concatenate([times_ms, clock])
        is_clock = np.concatenate([np.zeros(len(times_ms), bool), np.ones(len(clock), bool)])
        order = np.lexsort((is_clock, at))
        self.at, self.is_clock = at[order], is_clock[order]
        self.upto = np.cumsum(~self.is_clock)

    def total(self, amounts: np.ndarray, window_ms: int = EVER) -> np.ndarray:
        """Return at each step the sum over the rows in the window; a flag sums up to a count."""
        sums = np.concatenate([[0], np.cumsum(amounts.astype(np.int64))])
        since = self.at - window_ms
        gone = np.where(
            self.is_clock,
            np.searchsorted(self.times, since, "right"),
            np.searchsorted(self.times, since, "left"),
        )
        found: np.ndarray = sums[self.upto] - sums[gone]
        return found


def note(tally: Tally, who: str, member: np.ndarray) -> None:
    """Count one person's entries and exits, and membership at the end."""
    before = np.concatenate([[False], member[:-1]])
    tally.entered += int((member & ~before).sum())
    tally.left += int((~member & before).sum())
    if len(member) and member[-1]:
        tally.members.add(who)
