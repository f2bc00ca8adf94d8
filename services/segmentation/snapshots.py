"""When the state of one partition is written to disk: now and then, beside what goes on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import structlog

from services.kit.stage import describe
from services.segmentation import saved
from services.segmentation.partition import Partition

SNAPSHOT_FACTS = 100_000
"""Facts between two snapshots at least; so many are replayed in a few seconds."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Snapshots:
    """The snapshots of one partition. All but `restore` are called under the partition's lock."""

    def __init__(self, directory: Path, number: int, zone: str = "UTC") -> None:
        self._directory = directory
        self._zone = zone
        self._number = number
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"snapshot-{number}")
        self._writing: Future[None] | None = None
        self._saved_facts = 0
        self._unsaved_facts = 0
        self._closed = False

    def restore(self) -> Partition:
        """Return the newest state on disk, or an empty one.

        A snapshot that is being written ends first: who goes on from a former one writes over the
        histories that it stands on.
        """
        if self._writing is not None:
            wait([self._writing])
        self._unsaved_facts = 0
        where = (self._directory, self._number, self._zone)
        return saved.read(*where) or saved.begin(*where)

    def count(self, facts: int) -> None:
        """Say how many facts were applied."""
        self._unsaved_facts += facts

    def take_if_due(self, partition: Partition) -> None:
        """Begin a snapshot where enough has happened: each costs what the whole state is large."""
        busy = self._writing is not None and not self._writing.done()
        if not busy and self._unsaved_facts >= max(SNAPSHOT_FACTS, self._saved_facts // 2):
            self.take(partition)

    def take(self, partition: Partition) -> None:
        """Begin a snapshot, unless nothing has happened; one that is being written ends first."""
        if self._closed or not self._unsaved_facts:
            return
        captured = saved.capture(partition)
        self._saved_facts += self._unsaved_facts
        self._unsaved_facts = 0
        self._writing = self._writer.submit(self._write, captured)

    def close(self) -> None:
        """Begin no more, and return once what was begun is on disk."""
        self._closed = True
        self._writer.shutdown(wait=True)

    def _write(self, captured: saved.Captured) -> None:
        try:
            saved.write(self._directory, captured)
        except Exception as error:  # noqa: BLE001  # the root of the thread's work: it logs
            # The log has all of it: a snapshot that failed only makes the next start slower.
            log.warning("snapshot_failed", partition=self._number, error=describe(error))
