"""The projection of one facts log into the tables: a step's packs become a few bulk writes.

All writes of a step commute, so that it first takes the rows of all its packs to who people are
after the step, and then moves the rows of those profiles that the step merged away. Only where a
profile is divided or erased, all before it is written first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

from google.protobuf.message import DecodeError
from pyroaring import BitMap64
from sqlalchemy import Connection, insert, select

from coterie.log.v1.facts_pb2 import FactPack
from coterie.type.v1 import schema_pb2
from services.kit.log.port import Record
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.kit.upserts import keep_first, keep_greater, keep_last, write_tuples
from services.profile import divisions, erasures, merges, schema, tables
from services.profile.facts import FactRows
from services.profile.handing import Handing
from services.profile.store import read_schema
from services.profile.upserts import keep_earliest

STAGE = "profile"

_PUT_EVENT = insert(tables.timeline)
_EVENT = ("profile_id", "occurred_ms", "received_ms", "event_id", "type", "event", "came_with")


class FactsProjection:
    """Writes the facts of one partition; `reached` and `schema_at` hear how far the tables are.

    Up to `inbound_seq` every input has had its effect; `seen_seq` may be further, while some wait
    for a merge across partitions.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what the module wires
        self,
        partition: int,
        database: Database,
        tracing: Tracing,
        reached: Callable[[int], None],
        schema_at: Callable[[schema_pb2.Schema, int], None],
        handing: Handing,
    ) -> None:
        self._partition = partition
        self._database = database
        self._tracing = tracing
        self._reached = reached
        self._schema_at = schema_at
        self._handing = handing
        self._has_untold = False
        self._next_schema: schema_pb2.Schema | None = None
        self._next_time_ms = 0
        self._next_seq = 0
        self._known = BitMap64()
        self._next_known: list[int] = []
        self.inbound_seq = 0
        self.seen_seq = 0
        self.log_time_ms = 0

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        """Write the effect of whole packs in the stage's transaction."""

        def part(parting: divisions.Division | erasures.Erasure) -> None:
            self._flush(connection, facts)
            facts.clear()
            if isinstance(parting, erasures.Erasure):
                erasures.remove_rows(connection, parting)
            else:
                divisions.move_rows(connection, parting)

        facts = FactRows(part)
        self._next_known = []
        for record in records:
            facts.read(record.payload)
        with self._tracing.span("profile.project", links=facts.traceparents):
            self._flush(connection, facts)
        self._handing.keep(connection, facts.merge_ids)
        self._has_untold = bool(facts.merge_ids)
        self._next_schema = _extend_schema(connection, facts.schemas)
        self._next_time_ms = max(self.log_time_ms, facts.log_time_ms)
        waiting_seq = facts.waiting_seq
        self._write_progress(connection, waiting_seq - 1 if waiting_seq else records[-1].source)

    def committed(self, records: Sequence[Record]) -> None:
        """Let readers and intake know what is on disk now."""
        self._known.update(self._next_known)
        self._next_known = []
        self.inbound_seq, self.seen_seq = self._next_seq, records[-1].source
        self.log_time_ms = self._next_time_ms
        if self._next_schema is not None:
            self._schema_at(self._next_schema, self.inbound_seq)
            self._next_schema = None
        self._reached(self.inbound_seq)
        if self._has_untold:
            self._handing.tell(self.log_time_ms)

    def reset(self) -> None:
        """Read back how far the tables have come."""
        progress = tables.progress
        with self._database.read() as connection:
            row = connection.execute(
                select(progress.c.inbound_seq, progress.c.log_time_ms).where(
                    progress.c.partition == self._partition
                )
            ).one_or_none()
            known = read_schema(connection)
        self.inbound_seq = self.seen_seq = row.inbound_seq if row is not None else 0
        self.log_time_ms = row.log_time_ms if row is not None else 0
        self._next_schema = None
        self._known, self._next_known = BitMap64(), []
        self._next_time_ms = self.log_time_ms
        self._schema_at(known, self.inbound_seq)
        self._reached(self.inbound_seq)
        self._handing.tell(self.log_time_ms)

    def dead_letter(self, connection: Connection, record: Record, error: str) -> None:
        """Keep a row for a record that cannot be applied; `error` holds no personal data."""
        self._next_time_ms = self.log_time_ms
        letter = {"partition": self._partition, "facts_seq": record.seq, "error": error}
        connection.execute(insert(tables.dead_letters), [letter])
        merge_ids = _leaving(record)
        self._handing.keep(connection, merge_ids)
        self._has_untold = bool(merge_ids)
        self._write_progress(connection, record.source)

    def _flush(self, connection: Connection, facts: FactRows) -> None:
        """Write the rows, each to who its person is by now."""
        moved = _settle_profiles(connection, facts)
        self._add_profiles(connection, facts.profiles)
        _write(connection, facts)
        if moved:
            merges.move_rows(connection, moved)

    def _add_profiles(self, connection: Connection, profiles: Mapping[int, int]) -> None:
        """Write those profiles of which it is not known that they are in the tables.

        A profile that was written stays, or is merged away: then nothing is said of it any more.
        """
        unknown = [one for one in profiles if one not in self._known]
        rows = [{"profile_id": one, "create_ms": profiles[one]} for one in unknown]
        keep_earliest(connection, rows)
        self._next_known += unknown

    def _write_progress(self, connection: Connection, inbound_seq: int) -> None:
        self._next_seq = inbound_seq
        row = {
            "partition": self._partition,
            "inbound_seq": inbound_seq,
            "log_time_ms": self._next_time_ms,
        }
        keep_last(connection, tables.progress, [row])


def _leaving(record: Record) -> list[str]:
    """Return by which merges people leave in a record that cannot be applied.

    The others wait for them.
    """
    try:
        facts = FactPack.FromString(record.payload).facts
    except DecodeError:
        return []
    return [fact.departure.merge_id for fact in facts if fact.HasField("departure")]


def _settle_profiles(connection: Connection, facts: FactRows) -> dict[int, int]:
    """Give each row to the profile that its person is now; return who was merged away."""
    named = {*facts.profiles, *(merged for merged, _ in facts.merges)}
    redirects = merges.find_redirects(connection, named)
    moved = merges.unite(redirects, facts.merges)
    if redirects:
        facts.settle(redirects)
    return moved


def _write(connection: Connection, facts: FactRows) -> None:
    keep_first(connection, tables.departures, facts.departures)
    for name, rows in facts.by_table.items():
        keep_greater(connection, tables.metadata.tables[name], rows)
    # People's events lie beside each other in the index.
    facts.events.sort(key=itemgetter(0))
    write_tuples(connection, _PUT_EVENT, _EVENT, facts.events)


def _extend_schema(
    connection: Connection, extensions: Sequence[tuple[int, schema_pb2.Schema]]
) -> schema_pb2.Schema | None:
    """Apply extensions that the tables do not have yet; the first with a field wins."""
    if not extensions:
        return None
    table = tables.schemas
    row = connection.execute(select(table.c.schema, table.c.arrival)).one_or_none()
    known = schema_pb2.Schema.FromString(row.schema if row is not None else b"")
    arrival = row.arrival if row is not None else -1
    for new_arrival, extension in extensions:
        if new_arrival > arrival:
            # Every partition's log holds every extension; the slower ones repeat it.
            known, arrival = schema.extended(known, extension), new_arrival
    stored = {"number": 1, "schema": known.SerializeToString(), "arrival": arrival}
    keep_greater(connection, table, [stored])
    return known
