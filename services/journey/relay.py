"""From the tables to the logs: intents to the partition's own, handoffs to the inbound log.

Both are written with their effect in one transaction and appended after it; what may not be in the
log yet is appended again at the next start. Intents are fenced by the log's own end, and a handoff
that is said twice is one.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from coterie.log.v1 import inbound_pb2, intents_pb2
from services.journey import people, tables
from services.journey.intents import packs_of
from services.kit.failpoints import failpoint
from services.kit.ids import derive_id
from services.kit.log.port import APPEND_LIMIT_BYTES, Entry, Log
from services.kit.sql import Database
from services.kit.upserts import keep_last

SERVICE = "journey"
ROOM_BYTES = APPEND_LIMIT_BYTES // 2
"""What one append takes: a pack may be twice as large as it was meant to be."""

_outbox = tables.outbox


class Relay:
    """Relays what one partition has to say."""

    def __init__(
        self,
        partition: int,
        database: Database,
        intents: Log,
        inbound: Log,
        stamp_ms: Callable[[int], int],
    ) -> None:
        self._partition = partition
        self._database = database
        self._intents = intents
        self._inbound = inbound
        self._stamp_ms = stamp_ms
        self._relayed = 0
        self._handed_over: list[str] = []

    def keep(
        self, connection: Connection, intents: Mapping[int, Sequence[intents_pb2.Intent]]
    ) -> None:
        """Store the intents of a step, by facts record; drop what is in the logs."""
        connection.execute(
            delete(_outbox).where(
                _outbox.c.partition == self._partition, _outbox.c.facts_seq <= self._relayed
            )
        )
        people.note_handed_over(connection, self._partition, self._handed_over)
        rows = [
            {"partition": self._partition, "facts_seq": seq, "part": part, "payload": payload}
            for seq, wanted in intents.items()
            for part, payload in enumerate(packs_of(seq, wanted))
        ]
        keep_last(connection, _outbox, rows)

    def relay(self, facts_seq: int, log_time_ms: int, *, departures: bool) -> None:
        """Append all that the tables hold up to `facts_seq` and the logs do not."""
        appended = self._relay_intents(facts_seq)
        if departures:
            self._relay_handoffs(log_time_ms)
        if appended:
            failpoint("journey.relayed")

    def _relay_intents(self, facts_seq: int) -> bool:
        """Append the intents that are missing; return whether any record was."""
        last = self._intents.last()
        done = last.source if last is not None else 0
        entries = self._stored(done) if done < facts_seq else []
        if done < facts_seq and (not entries or entries[-1].source < facts_seq):
            empty = intents_pb2.IntentPack(facts_seq=facts_seq)
            entries.append(Entry(empty.SerializeToString(), facts_seq))
        end = last.seq if last is not None else 0
        for part in _appends(entries):
            end = self._intents.append(part, end)
        self._relayed = facts_seq
        return bool(entries)

    def _stored(self, after: int) -> list[Entry]:
        with self._database.read() as connection:
            rows = connection.execute(
                select(_outbox.c.facts_seq, _outbox.c.payload)
                .where(_outbox.c.partition == self._partition, _outbox.c.facts_seq > after)
                .order_by(_outbox.c.facts_seq, _outbox.c.part)
            )
            return [Entry(row.payload, row.facts_seq) for row in rows]

    def _relay_handoffs(self, log_time_ms: int) -> None:
        with self._database.read() as connection:
            merge_ids = people.not_handed_over(connection, self._partition)
        if not merge_ids:
            return
        pack = inbound_pb2.InboundPack()
        for merge_id in merge_ids:
            one = pack.inputs.add(
                input_id=derive_id("handoff", merge_id, SERVICE),
                received_ms=self._stamp_ms(log_time_ms),
            )
            one.handoff.merge_id = merge_id
            one.handoff.service = SERVICE
        self._inbound.append([Entry(pack.SerializeToString(deterministic=True))])
        self._handed_over = merge_ids


def _appends(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Divide records into appends of which each is small enough.

    One facts record's intents go into one append, so that who reads the log finds all of them or
    none; only where they are larger than an append can be, they come one after the other.
    """
    parts: list[list[Entry]] = [[]]
    size = 0
    for _, group in itertools.groupby(entries, operator.attrgetter("source")):
        together = list(group)
        whole = sum(len(entry.payload) for entry in together)
        if parts[-1] and size + whole > ROOM_BYTES:
            parts.append([])
            size = 0
        for entry in together:
            if size + len(entry.payload) > ROOM_BYTES and parts[-1]:
                parts.append([])
                size = 0
            parts[-1].append(entry)
            size += len(entry.payload)
    return [part for part in parts if part]
