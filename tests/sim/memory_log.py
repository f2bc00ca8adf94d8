"""The log in memory: the port as it should be, without a disk. The simulation stands on it."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.kit.log.port import APPEND_LIMIT_BYTES, Corrupt, Entry, Fenced, Held, Record
from services.kit.signal import Signal


def checksum(record: Record) -> int:
    """Return the checksum over all that a record says."""
    head = f"{record.seq} {record.source} {record.dead_letter:d} "
    return zlib.crc32(record.payload, zlib.crc32(head.encode()))


@dataclass
class Stored:
    """What one log holds; `records` has None where a record was lost."""

    records: dict[int, tuple[Record, int]] = field(default_factory=dict)
    first: int = 1
    last: int = 0
    holds: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    end: Signal = field(default_factory=Signal)


class MemoryLog:
    """One log over what is stored; several objects may share it."""

    def __init__(self, name: str, stored: Stored) -> None:
        self._name = name
        self.stored = stored

    @property
    def name(self) -> str:
        return self._name

    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        if not entries or sum(len(entry.payload) for entry in entries) > APPEND_LIMIT_BYTES:
            raise ValueError(f"log {self._name}: an append holds 1 byte to 8 MiB")
        with self.stored.lock:
            if expected_last is not None and expected_last != self.stored.last:
                raise Fenced(f"log {self._name}: {expected_last} is not {self.stored.last}")
            for entry in entries:
                self.stored.last += 1
                record = Record(self.stored.last, entry.payload, entry.source, entry.dead_letter)
                self.stored.records[record.seq] = record, checksum(record)
            self.stored.end.tell(self.stored.last)
            return self.stored.last

    def read(self, after_seq: int, limit: int = 100) -> list[Record]:
        with self.stored.lock:
            if not self.stored.first - 1 <= after_seq <= self.stored.last:
                raise Corrupt(f"log {self._name}: nothing is known of {after_seq}")
            end = min(after_seq + limit, self.stored.last)
            return [self._checked(seq) for seq in range(after_seq + 1, end + 1)]

    def last(self) -> Record | None:
        with self.stored.lock:
            return self._checked(self.stored.last) if self.stored.last else None

    def last_seq(self) -> int:
        return self.stored.last

    def first_seq(self) -> int:
        return self.stored.first

    def wait(self, after_seq: int, timeout_s: float) -> bool:
        return self.stored.end.wait_beyond(after_seq, timeout_s)

    def hold(self, reader: str, seq: int) -> None:
        with self.stored.lock:
            self.stored.holds[reader] = seq

    def trim(self, before_seq: int) -> int:
        with self.stored.lock:
            before = min(before_seq, self.stored.last + 1)
            if any(seq < before - 1 for seq in self.stored.holds.values()):
                raise Held(f"log {self._name}: a reader is behind {before}")
            dropped = max(0, before - self.stored.first)
            for seq in range(self.stored.first - 1, min(before, self.stored.last)):
                self.stored.records.pop(seq, None)
            self.stored.first = max(before, self.stored.first)
            return dropped

    def _checked(self, seq: int) -> Record:
        if seq not in self.stored.records:
            raise Corrupt(f"log {self._name}: record {seq} is missing")
        record, expected = self.stored.records[seq]
        if checksum(record) != expected:
            raise Corrupt(f"log {self._name}: record {seq} does not match its checksum")
        return record
