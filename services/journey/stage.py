"""The stage of one partition: facts and transitions in, instances in tables, intents out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, insert, select

from coterie.log.v1 import facts_pb2, transitions_pb2
from services.journey import people, tables
from services.journey.definitions import Definitions
from services.journey.relay import Relay
from services.journey.turn import Turn
from services.journey.working import Working, next_due_ms
from services.kit.facts import FactRecord
from services.kit.log.paired import Paired
from services.kit.log.port import Record
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.kit.upserts import keep_last

STAGE = "journey"

_progress = tables.progress


class JourneyProjection:
    """Walks the people of one partition; `reached` hears how far the tables are."""

    def __init__(
        self,
        partition: int,
        database: Database,
        tracing: Tracing,
        relay: Relay,
        reached: Callable[[int, int], None],
    ) -> None:
        self._partition = partition
        self._database = database
        self._tracing = tracing
        self._relay = relay
        self._reached = reached
        self._definitions = Definitions(partition)
        self._departed: set[int] = set()
        self._departures = False
        self._next_time_ms = 0
        self._next_settled_seq = 0
        self._next_due_ms: int | None = None
        # The facts record up to which the logs have been told.
        self.told_seq = 0
        self.inbound_seq = 0
        self.log_time_ms = 0
        self.next_due_ms: int | None = None

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        """Write the effect of whole records, in order, in the stage's transaction."""
        read = [_parse(record) for record in records]
        self._next_time_ms = max([self.log_time_ms, *(pack.log_time_ms for pack, _ in read)])
        gone = len(self._departed)
        turn = Turn(
            connection,
            self._partition,
            self._definitions,
            self._departed,
            self._tracing,
            self._next_time_ms,
        )
        for record, (pack, transitions) in zip(records, read, strict=True):
            turn.read(record, pack, transitions)
        turn.write()
        self._relay.keep(connection, turn.mover.intents)
        self._departures = len(self._departed) > gone
        self._next_due_ms = next_due_ms(connection, self._partition)
        # Up to that record, everything has had its effect: nothing waits for a merge any more.
        self._next_settled_seq = read[-1][0].settled_seq
        self._write_progress(connection, records[-1])

    def committed(self, records: Sequence[Record]) -> None:
        """Tell the logs, then those who wait for these records."""
        self._relay.relay(records[-1].seq, self._next_time_ms, departures=self._departures)
        self._show(records[-1].seq, records[-1].source)

    def reset(self) -> None:
        """Read back how far the tables have come, and tell the logs what they may not have."""
        with self._database.read() as connection:
            row = connection.execute(
                select(_progress).where(_progress.c.partition == self._partition)
            ).one_or_none()
            self._definitions.load(connection)
            self._departed = people.departed(connection, self._partition)
            self._next_due_ms = next_due_ms(connection, self._partition)
        self._next_time_ms = row.log_time_ms if row is not None else 0
        self._next_settled_seq = row.settled_seq if row is not None else 0
        if row is not None:
            self._relay.relay(row.facts_seq, row.log_time_ms, departures=True)
        self._show(*((row.facts_seq, row.inbound_seq) if row is not None else (0, 0)))

    def dead_letter(self, connection: Connection, record: Record, error: str) -> None:
        """Keep a row for a record that cannot be applied; `error` holds no personal data."""
        self._next_time_ms = self.log_time_ms
        self._next_due_ms = self.next_due_ms
        self._departures = self._let_go(connection, record)
        letter = {"partition": self._partition, "facts_seq": record.seq, "error": error}
        connection.execute(insert(tables.dead_letters), [letter])
        self._write_progress(connection, record)

    def _let_go(self, connection: Connection, record: Record) -> bool:
        """Let those go who leave by a record that cannot be applied: the others wait for them."""
        try:
            facts = facts_pb2.FactPack.FromString(record.payload).facts
        except DecodeError:
            return False
        leaving = [fact for fact in facts if fact.HasField("departure")]
        working = Working(connection, self._partition, self.log_time_ms)
        for fact in leaving:
            working.depart(fact.profile_id)
            merge_id = fact.departure.merge_id
            people.keep_departure(connection, self._partition, fact.profile_id, merge_id)
            self._departed.add(fact.profile_id)
        self._next_due_ms = next_due_ms(connection, self._partition)
        return bool(leaving)

    def _show(self, facts_seq: int, inbound_seq: int) -> None:
        self.told_seq, self.inbound_seq = facts_seq, inbound_seq
        self.log_time_ms = self._next_time_ms
        self.next_due_ms = self._next_due_ms
        self._reached(self._next_settled_seq, self._partition)

    def _write_progress(self, connection: Connection, record: Record) -> None:
        row = {
            "partition": self._partition,
            "inbound_seq": record.source,
            "settled_seq": self._next_settled_seq,
            "facts_seq": record.seq,
            "log_time_ms": self._next_time_ms,
        }
        keep_last(connection, _progress, [row])


def _parse(record: Record) -> tuple[FactRecord, Sequence[transitions_pb2.Transition]]:
    pack = FactRecord(record.payload)
    if not isinstance(record, Paired):
        raise TypeError(f"expected a pair of records, found {type(record).__name__}")
    transitions = [
        each
        for derived in record.derived
        for each in transitions_pb2.TransitionPack.FromString(derived.payload).transitions
    ]
    return pack, transitions
