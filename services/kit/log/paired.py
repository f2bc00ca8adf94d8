"""Two logs read as one: each record of the first with what another stage derived from it.

Who reads facts beside what comes of them gets record n, then what was derived from n, then n + 1,
however far either log is ahead: the order is a function of the two logs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.log.port import Record, Source


@dataclass(frozen=True, slots=True)
class Paired(Record):
    """A record with all that was derived from it."""

    derived: tuple[Record, ...] = ()


class PairedLog:
    """The source of a stage over two logs; positions are those of the primary one.

    The derived log says how far it has come, also where there is nothing to say: a primary record
    is given once the derived log's last source has reached it. One thread reads.
    """

    def __init__(self, primary: Source, derived: Source) -> None:
        self._primary = primary
        self._derived = derived
        # Where the next derived records are, for the primary position at which the last read ended.
        self._position = -1
        self._derived_position = 0

    @property
    def name(self) -> str:
        """The primary log's name: it is whose positions count."""
        return self._primary.name

    def read(self, after_seq: int, limit: int = 100) -> list[Record]:
        """Return up to `limit` pairs after `after_seq`, in order; none where either log is short.

        Raises what the logs raise.
        """
        # What is derived comes later and is small: read first, it says how much else to read.
        derived, complete_to = self._derived_after(after_seq, after_seq + limit, limit + 1)
        if complete_to <= after_seq:
            return []
        pairs: list[Record] = []
        index = 0
        for record in self._primary.read(after_seq, complete_to - after_seq):
            start = index
            while index < len(derived) and derived[index].source <= record.seq:
                index += 1
            pairs.append(_pair(record, derived[start:index]))
        if pairs:
            self._position = pairs[-1].seq
            self._derived_position += index
        return pairs

    def last(self) -> Record | None:
        """Return the primary log's last record."""
        return self._primary.last()

    def last_seq(self) -> int:
        """Return how far pairs can be read now.

        Who catches up at a start waits for this alone: whoever derives may start after it.
        """
        derived = self._derived.last()
        return min(self._primary.last_seq(), derived.source) if derived is not None else 0

    def first_seq(self) -> int:
        """Return the sequence of the oldest primary record kept."""
        return self._primary.first_seq()

    def wait(self, after_seq: int, timeout_s: float) -> bool:
        """Return True once there may be a pair after `after_seq`, False after the timeout."""
        if after_seq == self._position:
            return self._derived.wait(self._derived_position, timeout_s)
        return self._primary.wait(after_seq, timeout_s)

    def hold(self, reader: str, seq: int) -> None:
        """Say that `reader` has stored all pairs up to `seq`."""
        self._primary.hold(reader, seq)
        self._derived.hold(reader, self._start_of(seq))

    def _derived_after(
        self, after_seq: int, until_seq: int, at_once: int
    ) -> tuple[list[Record], int]:
        """Return what was derived from the records in between, and how far that is all of it."""
        if after_seq != self._position:
            self._position, self._derived_position = after_seq, self._start_of(after_seq)
        found: list[Record] = []
        position = self._derived_position
        while True:
            more = self._derived.read(position, at_once)
            if not more:
                # An append is whole: what it says of its last source is all there is of it.
                return found, found[-1].source if found else after_seq
            found += more
            position = more[-1].seq
            if more[-1].source > until_seq:
                return found, until_seq

    def _start_of(self, seq: int) -> int:
        """Return the last derived record whose source is not beyond `seq`."""
        last = self._derived.last()
        if last is None:
            return 0
        if last.source <= seq:
            return last.seq
        start, end = self._derived.first_seq() - 1, last.seq
        while start < end:
            middle = (start + end + 1) // 2
            if self._derived.read(middle - 1, 1)[0].source <= seq:
                start = middle
            else:
                end = middle - 1
        return start


def _pair(record: Record, derived: Sequence[Record]) -> Paired:
    return Paired(record.seq, record.payload, record.source, record.dead_letter, tuple(derived))
