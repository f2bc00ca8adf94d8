"""A stage whose effect is records of other logs: identity to facts, segmentation to transitions.

Each append is fenced by the end that it expects of the log. After a restart the stage replays from
its snapshot; what comes again at or below a log's last source is there, and is not appended again.
The first log is the anchor: it is written first and takes something of every input record, so that
its fence orders what is not a function of the input: which records were set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from services.kit.failpoints import failpoint
from services.kit.log.port import APPEND_LIMIT_BYTES, Corrupt, Entry, Log, Record
from services.kit.stage import ContractBroken, Failures, check_not_regressed

REPLAYED = "set aside before"
"""The error that a derivation is told when a replay comes to a dead letter again."""


class Derivation(Protocol):
    """A deterministic function of its input log, with a memory that can be had back."""

    def restore(self) -> int:
        """Drop memory, load the newest good snapshot; return its input position, 0 for none."""

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        """Apply whole input records in order; return what to append, by the index of the sink.

        The `source` of each entry is the sequence of its input record, and ascends. Every record
        gives the first sink at least one entry: the log says how far it has come, also when it has
        nothing to say. What one record gives one sink is appended as a whole, and so at most
        APPEND_LIMIT_BYTES.
        """

    def save(self, position: int) -> None:
        """Store the state with its position, or skip that.

        All outputs up to `position` are on disk.
        """

    def dead_letter(self, record: Record, error: str) -> Mapping[int, Sequence[Entry]]:
        """Return what to append in place of a record that cannot be applied.

        The first sink gets an entry here too. The state may not depend on `error`: a replay tells
        another one.
        """


class LogStage:
    """Runs a derivation from one log to others. One thread at a time may call it."""

    def __init__(
        self, name: str, partition: int, source: Log, sinks: Sequence[Log], derivation: Derivation
    ) -> None:
        self.name = name
        self.partition = partition
        self._source = source
        self._sinks = [_Sink(sink) for sink in sinks]
        self._derivation = derivation
        self._failures = Failures()
        self._ready = False
        self._position = 0
        self._dead_letters = 0
        # Up to here it is decided which input records are set aside.
        self._settled = 0
        self._set_aside: frozenset[int] = frozenset()

    @property
    def position(self) -> int:
        """The last input record that is applied, with its outputs on disk."""
        return self._position

    @property
    def tail(self) -> int:
        """The last input record that exists; asks the log."""
        return self._source.last_seq()

    @property
    def dead_letters(self) -> int:
        """How many records were set aside since the process began."""
        return self._dead_letters

    def recover(self) -> None:
        """Drop memory, load the newest snapshot and read where the sinks end.

        Raises Corrupt where a log ends before what this stage has already read or written.
        """
        self._ready = False
        position = self._derivation.restore()
        reader = f"{self.name}-{self.partition}"
        for sink in self._sinks:
            sink.recover()
        anchor = self._sinks[0]
        if anchor.source < position:
            raise Corrupt(
                f"log {anchor.name}: it ends with the outputs of record {anchor.source}, but "
                f"{reader} had written those of {position}: acknowledged records are lost"
            )
        check_not_regressed(self._source, anchor.source, reader)
        starts = [sink.start_of(position) for sink in self._sinks]
        self._source.hold(reader, position)
        for sink, start in zip(self._sinks, starts, strict=True):
            sink.hold(reader, start)
        self._set_aside = anchor.dead_letters_after(starts[0])
        self._position, self._settled = position, anchor.source
        self._ready = True

    def step(self, limit: int) -> int:
        """Apply up to `limit` records; return how many, 0 where there are none.

        After any error the next call recovers first.
        """
        if not self._ready:
            self.recover()
        self._ready = False
        applied = self._step(limit)
        self._ready = True
        return applied

    def wait(self, timeout_s: float) -> bool:
        """Return True once there is a record to apply, False after the timeout."""
        return not self._ready or self._source.wait(self._position, timeout_s)

    def _step(self, limit: int) -> int:
        records = self._source.read(self._position, self._limit(limit))
        if not records:
            return 0
        plan = self._plan(records)
        for sink, appends in zip(self._sinks, plan, strict=True):
            sink.append(appends)
        if any(plan):
            failpoint(f"{self.name}.appended")
        self._position = records[-1].seq
        self._derivation.save(self._position)
        if any(plan):
            failpoint(f"{self.name}.saved")
        return len(records)

    def _limit(self, limit: int) -> int:
        if self._position + 1 in self._set_aside:
            return 1
        ahead = [seq - self._position - 1 for seq in self._set_aside if seq > self._position]
        return min([self._failures.limit(self._position, limit), *ahead])

    def _plan(self, records: Sequence[Record]) -> list[list[list[Entry]]]:
        """Return the appends of each sink, after a check that all of them are possible."""
        try:
            outputs = self._derive(records)
            self._check_anchored(outputs, records)
            return [
                sink.plan(outputs.get(index, ()), records) for index, sink in enumerate(self._sinks)
            ]
        except Exception as error:
            # What was applied once and now fails is not the record's fault: never set it aside.
            if records[-1].seq > self._settled:
                self._failures.note(records, error)
            raise

    def _check_anchored(
        self, outputs: Mapping[int, Sequence[Entry]], records: Sequence[Record]
    ) -> None:
        missing = {record.seq for record in records} - {e.source for e in outputs.get(0, ())}
        if missing:
            raise ContractBroken(
                f"stage {self.name}: expected an entry of every record for log "
                f"{self._sinks[0].name}, found none of record {min(missing)}"
            )

    def _derive(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        if records[0].seq in self._set_aside:
            return _marked(self._derivation.dead_letter(records[0], REPLAYED))
        undecided = records[0].seq > self._settled
        error = self._failures.verdict(records) if undecided else None
        if error is None:
            return self._derivation.apply(records)
        outputs = _marked(self._derivation.dead_letter(records[0], error))
        self._dead_letters += 1
        return outputs


class _Sink:
    """An output log as its one writer sees it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._end = 0
        self.name = log.name
        self.source = 0

    def recover(self) -> None:
        last = self._log.last()
        self._end, self.source = (last.seq, last.source) if last is not None else (0, 0)

    def start_of(self, position: int) -> int:
        """Return the last record whose source is not beyond `position`."""
        if self.source <= position:
            return self._end
        start = self._log.first_seq() - 1
        end = self._end
        while start < end:
            middle = (start + end + 1) // 2
            if self._log.read(middle - 1, 1)[0].source <= position:
                start = middle
            else:
                end = middle - 1
        return start

    def hold(self, reader: str, start: int) -> None:
        """Keep what a replay gives again: it must be found there."""
        self._log.hold(reader, start)

    def dead_letters_after(self, start: int) -> frozenset[int]:
        """Return the input records that were set aside, of those whose outputs follow `start`."""
        found: set[int] = set()
        while start < self._end:
            records = self._log.read(start, min(100, self._end - start))
            found.update(record.source for record in records if record.dead_letter)
            start = records[-1].seq
        return frozenset(found)

    def plan(self, entries: Sequence[Entry], records: Sequence[Record]) -> list[list[Entry]]:
        """Return the appends for what is not in the log yet, each of whole input records."""
        former = records[0].seq
        for entry in entries:
            if not former <= entry.source <= records[-1].seq:
                raise ValueError(
                    f"log {self._log.name}: expected sources that ascend from {former} to "
                    f"{records[-1].seq}, found {entry.source}"
                )
            former = entry.source
        return list(_appends([entry for entry in entries if entry.source > self.source]))

    def append(self, appends: Sequence[Sequence[Entry]]) -> None:
        for entries in appends:
            self._end = self._log.append(entries, expected_last=self._end)
            self.source = entries[-1].source


def _appends(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Cut entries between input records, so that each piece is within the limit of an append."""
    piece: list[Entry] = []
    size = 0
    start = 0
    while start < len(entries):
        end = start
        while end < len(entries) and entries[end].source == entries[start].source:
            end += 1
        whole = entries[start:end]
        weight = sum(len(entry.payload) for entry in whole)
        if weight > APPEND_LIMIT_BYTES:
            raise ValueError(
                f"the outputs of input record {whole[0].source} are {weight} bytes, "
                f"expected at most {APPEND_LIMIT_BYTES}"
            )
        if piece and size + weight > APPEND_LIMIT_BYTES:
            yield piece
            piece, size = [], 0
        piece.extend(whole)
        size += weight
        start = end
    if piece:
        yield piece


def _marked(outputs: Mapping[int, Sequence[Entry]]) -> Mapping[int, Sequence[Entry]]:
    return {
        index: [replace(entry, dead_letter=True) for entry in entries]
        for index, entries in outputs.items()
    }
