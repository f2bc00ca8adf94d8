"""A CSV or Parquet file as a source: every row by the mapping, then all of them in time order."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from coterie.type.v1 import schema_pb2
from services.host.replay.cells import RowError
from services.host.replay.declare import schema_of
from services.host.replay.mapping import RowMapping
from services.host.replay.rows import EventBuilder
from services.host.replay.source import Rejections, SourceError, Tally
from services.host.replay.spool import Spool
from services.host.replay.tables import Row, open_table
from services.host.replay.wire import EVENT_ID, INPUT_EVENT, Input, field

HASHED_BYTES = 1 << 20


class MappedFile:
    """The events of one file. `limit` takes only the first so many events in time order."""

    noun = "events"

    def __init__(self, path: Path, mapping: RowMapping, limit: int | None = None) -> None:
        self.name = path.name
        self.namespaces = frozenset(mapping.identities)
        self.tally = Tally()
        self._path = path
        self._mapping = mapping
        self._limit = limit
        self._spool = Spool()
        self._table = open_table(path, mapping.delimiter)
        self._builder = EventBuilder(mapping, self._table.header, path.name)

    @property
    def fingerprint(self) -> str:
        """Return a hash of the file and the mapping; reads the whole file."""
        found = hashlib.blake2b(repr(self._mapping).encode(), digest_size=16)
        with self._path.open("rb") as file:
            while part := file.read(HASHED_BYTES):
                found.update(part)
        return found.hexdigest()

    def schema(self) -> schema_pb2.Schema:
        """Return what the mapping declares."""
        return schema_of(self._mapping)

    def prepare(self) -> int:
        """Read the whole file into the spool; return how many events there are."""
        broken = Rejections()
        for row in self._table.rows(broken):
            self.tally.rows += 1
            column = self._builder.left_out(row.cells)
            if column is not None:
                self.tally.left_out[f"left out by `where` on {column}"] += 1
                continue
            try:
                self._take(row)
            except RowError as error:
                self.tally.rejections.add(str(error), row.line)
            else:
                self.tally.lines += self._mapping.items is not None
        self.tally.rows += broken.total
        self.tally.rejections.extend(broken)
        self._gather()
        return self._count()

    def _take(self, row: Row) -> None:
        built = self._builder.build([row.cells])
        if self._mapping.group_by:
            self._spool.add_line(self._builder.group(row.cells), row.line, row.cells)
        else:
            self._spool.add_event(built)

    def _gather(self) -> None:
        for group in self._spool.groups():
            try:
                self._spool.add_event(self._builder.build([cells for _, cells in group]))
            except RowError as error:
                for line, _ in group:
                    self.tally.rejections.add(str(error), line)
        if not self._mapping.event_id.keep_repeats:
            self.tally.left_out["exact repeats, dropped"] += self._spool.drop_repeats()

    def _count(self) -> int:
        count, _, _ = self._spool.span()
        if not count:
            why = "".join(
                f"; {reason}" for reason, _ in self.tally.rejections.counts.most_common(1)
            )
            raise SourceError(
                f"{self._path}: expected events, found none among {self.tally.rows} rows{why}"
            )
        taken = count if self._limit is None else min(count, self._limit)
        self.tally.happenings = taken
        return taken

    def span_ms(self) -> tuple[int, int]:
        """Return the time of the first and of the last event."""
        if self._limit is None:
            return self._spool.span()[1:]
        times = [
            event.time_ms for event in itertools.islice(self._spool.in_time_order(), self._limit)
        ]
        return times[0], times[-1]

    def inputs(self) -> Iterator[Input]:
        """Yield the events, earliest first; of equal times in the order of the file."""
        for event in itertools.islice(self._spool.in_time_order(), self._limit):
            event_id = (
                event.key
                if event.copy == 1 or self._mapping.event_id.column
                else (f"{event.key}-{event.copy}")
            )
            whole = field(EVENT_ID, event_id.encode()) + event.body
            yield Input(event.time_ms, field(INPUT_EVENT, whole))
