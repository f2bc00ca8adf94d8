"""When an expectation says that something happens."""

from __future__ import annotations

from dataclasses import dataclass

from tests.scenarios.scenario import Definition
from tests.scenarios.times import SECOND, instant_ms

LATE_MS = SECOND
"""How much later than an exact instant the system may be."""
ALWAYS = 2**60


@dataclass(frozen=True, slots=True)
class Window:
    """From `first_ms` to `last_ms`, both included. `exact` where an instant was named."""

    first_ms: int
    last_ms: int
    exact: bool = False

    @classmethod
    def of(cls, body: Definition, *, open_end: bool = False) -> Window:
        """Return the time that an expectation names, else all time."""
        if "at" in body:
            at_ms = instant_ms(body["at"])
            return cls(at_ms, at_ms + LATE_MS, exact=True)
        if "between" in body:
            first, last = map(instant_ms, body["between"])
            return cls(first, last - 1 if open_end else last)
        return cls(-ALWAYS, ALWAYS)

    def holds(self, at_ms: int) -> bool:
        return self.first_ms <= at_ms <= self.last_ms


def wrong_count(body: Definition, count: int) -> bool:
    """Return whether there are fewer or more than wanted: exactly `count`, else at least one."""
    return count != body["count"] if "count" in body else not count
