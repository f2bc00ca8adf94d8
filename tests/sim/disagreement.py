"""The one scene that seeds hardly ever find: two owners disagree whether a record can be applied.

One has applied it, in the only log that it concerns; the other has failed three times and sets it
aside in every log. Whatever they do, all logs must tell one story.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from services.kit.log.port import Entry, LogError, Record
from services.kit.log_stage import LogStage
from services.kit.stage import DEAD_LETTER_FAILURES
from tests.sim.hops import Poison
from tests.sim.memory_log import MemoryLog, Stored


class _Watched(MemoryLog):
    """A log that lets something happen before its next append."""

    meanwhile: Callable[[], object] | None = None

    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().append(entries, expected_last)


class _Copy:
    """Copies what it reads to the second log; to the first one too where that is the anchor."""

    def __init__(self, *, anchored: bool) -> None:
        self._anchored = anchored
        self.failures = 0

    def restore(self) -> int:
        return 0

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        if self.failures:
            self.failures -= 1
            raise Poison
        copies = [Entry(record.payload, record.seq) for record in records]
        return {0: copies if self._anchored else [], 1: copies}

    def save(self, position: int) -> None:
        pass

    def dead_letter(self, record: Record, _error: str) -> Mapping[int, Sequence[Entry]]:
        aside = [Entry(b"aside", record.seq)]
        return {0: aside, 1: aside}


def stories(kind: type[LogStage], *, anchored: bool) -> set[bool]:
    """Return what the logs say of the record in the end: that it was set aside, that it was not."""
    stored = [Stored(), Stored(), Stored()]
    source = MemoryLog("inbound", stored[0])
    watched = _Watched("facts-0", stored[1])
    sinks = [MemoryLog("facts-0", stored[1]), MemoryLog("facts-1", stored[2])]
    able, unable = _Copy(anchored=anchored), _Copy(anchored=anchored)
    one = kind("identity", 0, source, sinks, able)
    other = kind("identity", 0, source, [watched, sinks[1]], unable)
    for stage in (one, other):
        stage.recover()
    source.append([Entry(b"news")])
    unable.failures = DEAD_LETTER_FAILURES
    for _ in range(DEAD_LETTER_FAILURES):
        _try(other)
    watched.meanwhile = lambda: one.step(1)
    for stage in (other, one, other, one):
        _try(stage)
    return {record.dead_letter for sink in sinks for record in sink.read(0)}


def _try(stage: LogStage) -> None:
    with suppress(LogError, Poison):
        stage.step(1)
