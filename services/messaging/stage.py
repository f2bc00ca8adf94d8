"""The projection of facts and intents into the tables, input by input where an intent asks for it.

`over_ms` is the last instant of which no more input can come. On a system clock that is log time.
On a virtual one many inputs may carry one instant, and it is over with the tick that names it or
with the first input of a later one: what is asked for at an instant is decided, and sent, after all
that happened in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy import Connection, Integer, bindparam, delete, func, insert, select, update

from coterie.log.v1 import facts_pb2, intents_pb2
from services.kit.facts import FactRecord
from services.kit.log.paired import Paired
from services.kit.log.port import Record
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.kit.upserts import keep_first, keep_greater, keep_last
from services.messaging import divisions, erasures, merges, tables, wire
from services.messaging.decisions import Decisions
from services.messaging.domain.attempts import State
from services.messaging.domain.hours import ENGAGEMENT_MS
from services.messaging.domain.lanes import Lane
from services.messaging.facts import ENGAGED, PARTING, READ_BODIES, FactRows, Leaving, Told

STAGE = "messaging"

# Built once: building a statement costs more than running it.
_TOLD = (
    update(tables.messages)
    .where(
        tables.messages.c.message_id == bindparam("of"),
        # Not by `in`, which makes one statement of many rows impossible.
        (tables.messages.c.state == int(State.PENDING))
        | (tables.messages.c.state == int(State.SENDING)),
    )
    .values(
        state=bindparam("state"),
        reason=bindparam("reason"),
        lane=func.coalesce(bindparam("told_lane", type_=Integer), tables.messages.c.lane),
        send_ms=bindparam("send_ms"),
    )
)
_TOLD_ALREADY = delete(tables.outbox).where(tables.outbox.c.message_id == bindparam("of"))

_PARTING = frozenset({"profile_divided", "profile_erased"})

Group = tuple[list[facts_pb2.Fact], list[intents_pb2.Intent]]


class MessagingProjection:
    """Writes the facts and decides the intents of one partition; `reached` hears how far it is."""

    def __init__(  # noqa: PLR0913 - what the module wires
        self,
        partition: int,
        database: Database,
        tracing: Tracing,
        reached: Callable[[int], None],
        zone: str,
        *,
        exact: bool,
    ) -> None:
        self._partition = partition
        self._database = database
        self._tracing = tracing
        self._reached = reached
        self._exact = exact
        self._decisions = Decisions(partition, zone, tracing, exact=exact)
        self._time_ms = 0
        self._over_ms = 0
        self._settled_seq = 0
        self.inbound_seq = 0
        self.log_time_ms = 0

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        """Write the effect of whole packs in the stage's transaction."""
        self._time_ms, self._over_ms = self._stored_times(connection)
        waiting = self._decisions.has_undecided(connection)
        rows = FactRows()
        for record in records:
            pack = FactRecord(record.payload)
            # What waits for a merge across partitions has had no effect yet.
            self._settled_seq = pack.settled_seq
            intents = _intents(record)
            parting = pack.may_hold(PARTING, ())
            if not waiting and not intents and not parting:
                if not pack.may_hold(READ_BODIES, ENGAGED):
                    self._pass_to(pack.log_time_ms, is_over=not self._exact)
                    continue
                rows.read(pack.facts, pack.inbound_seq)
                for fact in pack.facts:
                    self._pass(fact)
                continue
            # Where time goes by itself, nothing hangs on which of two inputs came first.
            one_by_one = self._exact or parting
            groups = _by_input(pack.facts, intents) if one_by_one else [([*pack.facts], intents)]
            for facts, asked in groups:
                rows = self._take(connection, rows, pack.inbound_seq, facts, asked)
            waiting = self._decisions.has_undecided(connection)
        self._flush(connection, rows)
        self._decide(connection)
        self._write_progress(connection, self._settled_seq)

    def committed(self, records: Sequence[Record]) -> None:
        """Let readers and the dispatcher know what is on disk now."""
        del records
        self.inbound_seq = self._settled_seq
        self.log_time_ms = self._time_ms
        self._reached(self.inbound_seq)

    def reset(self) -> None:
        """Read back how far the tables have come."""
        table = tables.progress
        with self._database.read() as connection:
            row = connection.execute(
                select(table).where(table.c.partition == self._partition)
            ).one_or_none()
        self.inbound_seq = row.inbound_seq if row is not None else 0
        self.log_time_ms = row.log_time_ms if row is not None else 0
        self._reached(self.inbound_seq)

    def dead_letter(self, connection: Connection, record: Record, error: str) -> None:
        """Keep a row for a record that cannot be applied; `error` holds no personal data."""
        self._time_ms, self._over_ms = self._stored_times(connection)
        letter = {"partition": self._partition, "facts_seq": record.seq, "error": error}
        connection.execute(insert(tables.dead_letters), [letter])
        self._settled_seq = record.source
        self._write_progress(connection, record.source)

    def _take(
        self,
        connection: Connection,
        rows: FactRows,
        inbound_seq: int,
        facts: list[facts_pb2.Fact],
        asked: list[intents_pb2.Intent],
    ) -> FactRows:
        """Take in one input with what the journeys made of it; return the rows not yet written."""
        if facts and facts[0].log_time_ms - 1 > self._over_ms:
            # A later instant: what was asked for before it is decided as things were then.
            before_ms = facts[0].log_time_ms - 1
            if self._decisions.has_undecided(connection):
                self._flush(connection, rows)
                rows = FactRows()
                self._decisions.decide_until(connection, before_ms)
        if any(fact.WhichOneof("body") in _PARTING for fact in facts):
            self._flush(connection, rows)
            rows = FactRows()
            divisions.divide(connection, facts)
            erasures.erase(connection, facts)
        rows.read(facts, inbound_seq)
        for fact in facts:
            self._pass(fact)
        if not asked:
            return rows
        self._flush(connection, rows)
        self._decisions.admit(connection, asked, self._time_ms)
        self._decide(connection)
        return FactRows()

    def _pass(self, fact: facts_pb2.Fact) -> None:
        """Let time come as far as the fact's."""
        is_over = not self._exact or fact.WhichOneof("body") == "tick"
        self._pass_to(fact.log_time_ms, is_over=is_over)

    def _pass_to(self, log_time_ms: int, *, is_over: bool) -> None:
        time_ms = self._time_ms = max(self._time_ms, log_time_ms)
        self._over_ms = max(self._over_ms, time_ms if is_over else time_ms - 1)

    def _decide(self, connection: Connection) -> None:
        self._decisions.decide_until(connection, self._over_ms)

    def _flush(self, connection: Connection, rows: FactRows) -> None:
        """Write the rows, each to who the person is by now."""
        with self._tracing.span("messaging.project", links=rows.traceparents):
            named = {row["profile_id"] for row in rows.rows_of_people()}
            for merge in rows.merges:
                named.update((merge.merged, merge.remaining, merge.guest))
            redirects = merges.find_redirects(connection, named)
            moved = merges.unite(redirects, rows.merges)
            for row in rows.rows_of_people():
                row["profile_id"] = merges.follow(redirects, row["profile_id"])
            self._write(connection, rows)
            if moved:
                merges.move_rows(connection, moved)
            for leaving in rows.leaving:
                _leave(connection, leaving, self._partition)
            _believe(connection, rows.told)

    def _write(self, connection: Connection, rows: FactRows) -> None:
        for name, written in rows.by_table.items():
            table = tables.metadata.tables[name]
            if table in (tables.engagement, tables.templates):
                keep_first(connection, table, written)
            else:
                keep_greater(connection, table, written)
        engaged = {row["profile_id"] for row in rows.by_table[tables.engagement.name]}
        if engaged:
            _forget_engagement(connection, engaged, self._time_ms - ENGAGEMENT_MS)

    def _stored_times(self, connection: Connection) -> tuple[int, int]:
        table = tables.progress
        row = connection.execute(
            select(table.c.log_time_ms, table.c.over_ms).where(table.c.partition == self._partition)
        ).one_or_none()
        return (row.log_time_ms, row.over_ms) if row is not None else (0, 0)

    def _write_progress(self, connection: Connection, inbound_seq: int) -> None:
        row = {
            "partition": self._partition,
            "inbound_seq": inbound_seq,
            "log_time_ms": self._time_ms,
            "over_ms": self._over_ms,
        }
        keep_last(connection, tables.progress, [row])


def _intents(record: Record) -> list[intents_pb2.Intent]:
    derived = record.derived if isinstance(record, Paired) else ()
    return [
        intent
        for each in derived
        if not each.dead_letter
        for intent in intents_pb2.IntentPack.FromString(each.payload).intents
    ]


def _by_input(
    facts: Iterable[facts_pb2.Fact], intents: Iterable[intents_pb2.Intent]
) -> Iterator[Group]:
    """Return facts and intents input by input, in order."""
    groups: dict[int, Group] = {}
    for fact in facts:
        groups.setdefault(fact.index, ([], []))[0].append(fact)
    for intent in intents:
        groups.setdefault(intent.index, ([], []))[1].append(intent)
    for index in sorted(groups):
        yield groups[index]


def _leave(connection: Connection, leaving: Leaving, partition: int) -> None:
    """Hand a person over: from here on nothing is begun, until the merge has arrived."""
    row = {"profile_id": leaving.profile_id, "merge_id": leaving.merge_id}
    keep_first(connection, tables.departures, [row])
    table = tables.messages
    connection.execute(
        update(table)
        .where(table.c.profile_id == leaving.profile_id, table.c.partition == partition)
        .values(partition=tables.NOBODYS)
    )
    payload = wire.handoff_input(leaving.merge_id, leaving.log_time_ms)
    letter = {"partition": partition, "message_id": "", "payload": payload}
    connection.execute(insert(tables.outbox), [letter])


def _believe(connection: Connection, told: Sequence[Told]) -> None:
    """Take over what the log says became of messages: in a replay they are not sent again."""
    if not told:
        return
    ends = [
        {
            "of": each.outcome.message_id,
            "state": each.outcome.state,
            "reason": each.outcome.reason,
            "told_lane": int(Lane(each.outcome.channel)) if each.outcome.channel else None,
            "send_ms": each.received_ms if int(each.outcome.state) == State.SENT else None,
        }
        for each in told
    ]
    connection.execute(_TOLD, ends)
    connection.execute(_TOLD_ALREADY, [{"of": each["of"]} for each in ends])


def _forget_engagement(connection: Connection, profile_ids: set[int], before_ms: int) -> None:
    table = tables.engagement
    connection.execute(
        delete(table).where(
            table.c.profile_id == bindparam("person"), table.c.occurred_ms <= before_ms
        ),
        [{"person": profile_id} for profile_id in profile_ids],
    )
