"""The log as a port: ordered, dense, durable; a suite in `tests/logs` holds every engine to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

APPEND_LIMIT_BYTES = 8 * 1024 * 1024
"""The most that one append may hold: an engine may have to send it as one message."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `source` is the sequence of the input record that it is derived from, else 0.

    `dead_letter` marks what stands in place of an input record that could not be applied: a replay
    has to set the same records aside, whatever made them fail.
    """

    seq: int
    payload: bytes
    source: int = 0
    dead_letter: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to become a record."""

    payload: bytes
    source: int = 0
    dead_letter: bool = False


class LogError(Exception):
    """Anything that an engine raises."""


class Fenced(LogError):
    """Another writer has been there: the log does not end as expected. Nothing was written."""


class Corrupt(LogError):
    """A record is missing or does not match its checksum. Never read on past it."""


class Held(LogError):
    """The trim would drop what a reader has not passed. Nothing was dropped."""


class Source(Protocol):
    """What a stage reads: a log, or logs read as one. Every method may raise LogError."""

    @property
    def name(self) -> str:
        """The log's name, e.g. `inbound` or `facts-0`."""

    def read(self, after_seq: int, limit: int = 100) -> list[Record]:
        """Return up to `limit` records after `after_seq`, in order; raises Corrupt, never skips.

        Returns fewer where an engine bounds the bytes of one answer, but none only at the end of
        the log. Raises Corrupt also where `after_seq` lies before what trim left, or after the end.
        """

    def last(self) -> Record | None:
        """Return the last record, or None where none was ever appended. Survives trim."""

    def last_seq(self) -> int:
        """Return the last sequence that was given out, or 0; cheaper than `last`."""

    def first_seq(self) -> int:
        """Return the sequence of the oldest record kept, or the last sequence + 1 for none."""

    def wait(self, after_seq: int, timeout_s: float) -> bool:
        """Return True once there is a record after `after_seq`, False after the timeout."""

    def hold(self, reader: str, seq: int) -> None:
        """Say that `reader` has stored all up to `seq`: trim may not pass the least of these."""


class Log(Source, Protocol):
    """One log. Every method may raise LogError.

    After an error of `append` it is not known whether it was written, unless it is Fenced.
    """

    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        """Append all entries or none; return the sequence of the last one, which is then on disk.

        Sequences are dense from 1. With `expected_last`, raises Fenced unless the log ends there.
        Raises ValueError for no entries or more than APPEND_LIMIT_BYTES.
        """

    def trim(self, before_seq: int) -> int:
        """Drop the records before `before_seq`; return how many.

        Raises Held where a reader has not stored all of them; nothing is dropped then.
        """
