"""What every stage is: a deterministic function of one log, run a batch at a time, crash-only.

After any error a stage drops what it has in memory and starts again from its own last write. A
record that fails three times in the same way is set aside as a dead letter, and stops no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kit.errors import Unavailable
from services.kit.log.port import Corrupt, LogError, Record, Source

DEAD_LETTER_FAILURES = 3
"""A record is set aside when it has failed this often in the same way, alone."""


@dataclass(frozen=True, slots=True)
class StageState:
    """How far a stage has come; see `coterie.rpc.v1.StageProgress`."""

    stage: str
    partition: int
    position: int
    tail: int
    inbound_position: int
    log_time_ms: int
    next_due_ms: int | None
    in_flight: int
    dead_letters: int


class Stage(Protocol):
    """One stage of one partition. One thread at a time calls `recover`, `step` and `wait`."""

    name: str
    partition: int

    @property
    def position(self) -> int:
        """The last input record that is applied, with its effect on disk."""

    @property
    def tail(self) -> int:
        """The last input record that exists; asks the log."""

    @property
    def dead_letters(self) -> int:
        """How many records were set aside since the process began."""

    def recover(self) -> None:
        """Drop memory and read back the own last write."""

    def step(self, limit: int) -> int:
        """Apply up to `limit` records; return how many, 0 where there are none.

        Raises what went wrong; the next call recovers first.
        """

    def wait(self, timeout_s: float) -> bool:
        """Return True once there is a record to apply, False after the timeout."""


class ContractBroken(RuntimeError):
    """A derivation does not keep what its Protocol promises: that is no record's fault."""


class Failures:
    """Finds the record that fails: what failed together is tried again one at a time."""

    def __init__(self) -> None:
        self._suspects = range(0)
        self._seq = 0
        self._error = ""
        self._count = 0

    def limit(self, position: int, limit: int) -> int:
        """Return how many records to take after `position`: inside what failed, one."""
        ahead = self._suspects.start - position - 1
        if position + 1 in self._suspects:
            return 1
        return min(limit, ahead) if ahead > 0 else limit

    def note(self, records: Sequence[Record], error: Exception) -> None:
        """Remember that applying `records` failed; failures of the surroundings do not count."""
        if is_passing(error):
            return
        first, last = records[0].seq, records[-1].seq
        if len(records) > 1 or first not in self._suspects:
            self._suspects = range(first, last + 1)
        if len(records) > 1:
            return
        what = describe(error)
        same = (first, what) == (self._seq, self._error)
        self._seq, self._error, self._count = first, what, self._count + 1 if same else 1

    def verdict(self, records: Sequence[Record]) -> str | None:
        """Return the error for which these records (then one) are to be set aside, or None."""
        condemned = self._count >= DEAD_LETTER_FAILURES and len(records) == 1
        return self._error if condemned and records[0].seq == self._seq else None


def is_passing(error: Exception) -> bool:
    """Return whether an error comes from the surroundings, and not from the record."""
    passing = (
        ContractBroken,
        InterfaceError,
        LogError,
        MemoryError,
        OperationalError,
        OSError,
        PoolTimeout,
        Unavailable,
    )
    # Itself, and none of its kinds, it is what a driver says of a damaged file.
    return isinstance(error, passing) or type(error) is DatabaseError


def describe(error: Exception) -> str:
    """Return an error's type and place. Its message may hold personal data, and is left out."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return type(error).__name__
    module = place.tb_frame.f_globals.get("__name__", "?")
    return f"{type(error).__name__} in {module}, line {place.tb_lineno}"


def check_not_regressed(source: Source, position: int, what: str) -> int:
    """Return where `source` ends; raises Corrupt where that is before what was read from it."""
    last = source.last()
    end = last.seq if last is not None else 0
    if end < position:
        raise Corrupt(
            f"log {source.name}: it ends at {end}, but {what} has read it up to {position}: "
            "acknowledged records are lost"
        )
    return end
