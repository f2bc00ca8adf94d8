"""What was measured so far: per kind of call counts, errors and latencies, whole and by second.

All instants are microseconds from the start of what is measured; the warm-up lies before 0. What
was due there shows in the seconds alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.host.load.histogram import Histogram
from services.host.load.schedule import SECOND_US

INGEST, READ, VISIBLE, WATCHED, LATE = "ingest", "read", "visible", "watched", "late"
TRACKS = {
    INGEST: "IngestBatch, from the instant it was due to its answer",
    READ: "membership read, from the instant it was due to its answer",
    VISIBLE: "from an accepted event to the read that sees the membership",
    WATCHED: "from an accepted event to its entry in WatchTransitions",
    LATE: "how late the harness itself sent what was due; within the above",
}


@dataclass(slots=True)
class Second:
    """One second: what was due in it, what was answered in it, and how long what was due took."""

    asked: int = 0
    accepted: int = 0
    failed: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class Track:
    """One kind of call. Units are events for ingest, else calls."""

    calls: int = 0
    units: int = 0
    answered: int = 0
    accepted: int = 0
    in_time: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    seconds: dict[int, Second] = field(default_factory=dict)

    def second(self, at_us: int) -> Second:
        """Return the second that holds an instant."""
        return self.seconds.setdefault(at_us // SECOND_US, Second())


class Recorder:
    """Takes what happens; `until_us` is where the measured time ends."""

    def __init__(self, until_us: int) -> None:
        self.until_us = until_us
        self.tracks = {name: Track() for name in TRACKS}

    def asked(self, name: str, due_us: int, units: int = 1) -> None:
        """Count a call that is due."""
        track = self.tracks[name]
        track.second(due_us).asked += units
        if self._measured(due_us):
            track.calls += 1
            track.units += units

    def answered(self, name: str, due_us: int, at_us: int, accepted: int = 1) -> None:
        """Count an answer; its latency is from `due_us` to `at_us`."""
        track = self.tracks[name]
        track.second(due_us).latency.add(at_us - due_us)
        track.second(at_us).accepted += accepted
        if 0 <= at_us < self.until_us:
            track.in_time += accepted
        if self._measured(due_us):
            track.answered += 1
            track.accepted += accepted
            track.latency.add(at_us - due_us)

    def took(self, name: str, due_us: int, took_us: int) -> None:
        """Count a span that ended at another instant than the call was due plus the span."""
        track = self.tracks[name]
        track.second(due_us).latency.add(took_us)
        if self._measured(due_us):
            track.answered += 1
            track.accepted += 1
            track.latency.add(took_us)

    def failed(self, name: str, due_us: int, code: str) -> None:
        """Count a call without the answer that it asked for."""
        track = self.tracks[name]
        track.second(due_us).failed += 1
        if self._measured(due_us):
            track.errors[code] += 1

    def refused(self, due_us: int, reasons: Iterable[str]) -> None:
        """Count the events of an answered batch that were not taken."""
        if self._measured(due_us):
            self.tracks[INGEST].refused.update(reasons)

    def _measured(self, due_us: int) -> bool:
        return 0 <= due_us < self.until_us
