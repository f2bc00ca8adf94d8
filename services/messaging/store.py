"""Reads of the tables for callers, and the one write that does not come through the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, delete, func, select, tuple_

from coterie.messaging.v1 import message_pb2, template_pb2
from services.kit.rpc.times import timestamp
from services.kit.sql import Database, chunks
from services.kit.upserts import keep_first
from services.messaging import merges, tables, wire
from services.messaging.content import Occasion, Reader, load_data
from services.messaging.domain.attempts import State
from services.messaging.domain.hours import zone_of
from services.messaging.domain.lanes import Lane
from services.messaging.recipients import load_people


@dataclass(frozen=True, slots=True)
class Published:
    """One version of a template, and the input that published it at which position."""

    template_id: str
    version: int
    template: template_pb2.Template
    input_id: str
    inbound_seq: int


@dataclass(frozen=True, slots=True)
class Suppression:
    """Since when an address is blocked, and why."""

    since_ms: int
    reason: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one partition has under way, and when log time next does something with a message."""

    in_flight: int = 0
    next_due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages are asked for; None, empty and 0 mean any."""

    profile_id: int | None = None
    campaign: str = ""
    state: int = 0


class MessagingStore:
    """Reads see the last commit; run them on a thread."""

    def __init__(self, database: Database, zone: str) -> None:
        self._database = database
        self._zone = zone

    def message(self, message_id: str) -> message_pb2.Message | None:
        """Return one message with why it was sent or not."""
        table = tables.messages
        query = select(table).where(table.c.message_id == message_id)
        found = self._messages(query)
        return found[0] if found else None

    def messages(
        self, wanted: Selection, before: tuple[int, str] | None, limit: int
    ) -> list[message_pb2.Message]:
        """Return up to `limit` messages that come before `before`, the latest first."""
        table = tables.messages
        place = (table.c.at_ms, table.c.message_id)
        query = select(table)
        if wanted.campaign:
            query = query.where(table.c.campaign == wanted.campaign)
        if wanted.state:
            query = query.where(table.c.state == wanted.state)
        if before is not None:
            query = query.where(tuple_(*place) < before)
        if wanted.profile_id is not None:
            query = query.where(table.c.profile_id == self.current_id(wanted.profile_id))
        return self._messages(query.order_by(*(each.desc() for each in place)).limit(limit))

    def current_id(self, profile_id: int) -> int:
        """Return who a profile is now."""
        with self._database.read() as connection:
            return merges.current_id(connection, profile_id)

    def newest(self, template_id: str) -> Published | None:
        """Return the newest version of a template."""
        table = tables.templates
        query = (
            select(table)
            .where(table.c.template_id == template_id)
            .order_by(table.c.version.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return _published(row) if row is not None else None

    def published_by(self, input_id: str) -> Published | None:
        """Return what an input published."""
        table = tables.templates
        with self._database.read() as connection:
            row = connection.execute(
                select(table).where(table.c.input_id == input_id)
            ).one_or_none()
        return _published(row) if row is not None else None

    def templates_after(self, template_id: str, limit: int) -> list[Published]:
        """Return the newest version of up to `limit` templates after `template_id`, by id."""
        table = tables.templates
        newest = (
            select(table.c.template_id, func.max(table.c.version).label("version"))
            .where(table.c.template_id > template_id)
            .group_by(table.c.template_id)
            .order_by(table.c.template_id)
            .limit(limit)
            .subquery()
        )
        query = (
            select(table)
            .join(
                newest,
                (table.c.template_id == newest.c.template_id)
                & (table.c.version == newest.c.version),
            )
            .order_by(table.c.template_id)
        )
        with self._database.read() as connection:
            return [_published(row) for row in connection.execute(query)]

    def preview_data(self, profile_id: int, occasion: Occasion) -> Mapping[str, Any]:
        """Return what a template would be given for this person now."""
        with self._database.read() as connection:
            current = merges.current_id(connection, profile_id)
            person = load_people(connection, [current])[current]
            reader = Reader(current, zone_of(person.zone, self._zone), occasion)
            return load_data(connection, [reader])[0]

    def suppress(self, lane: Lane, address: str, reason: int, now_ms: int) -> int:
        """Block an address; return since when it is, also where it was before.

        Once this has returned nothing is claimed for it: claims and this take turns.
        """
        table = tables.suppressions
        key = {"channel": int(lane), "digest": wire.digest(lane, address)}
        with self._database.write() as connection:
            row = {**key, "since_ms": now_ms, "reason": reason}
            keep_first(connection, table, [row])
            since_ms = connection.execute(
                select(table.c.since_ms).where(
                    table.c.channel == key["channel"], table.c.digest == key["digest"]
                )
            ).scalar_one()
        return int(since_ms)

    def unsuppress(self, lane: Lane, address: str) -> bool:
        """Unblock an address; return whether it was blocked."""
        table = tables.suppressions
        with self._database.write() as connection:
            done = connection.execute(
                delete(table).where(
                    table.c.channel == int(lane), table.c.digest == wire.digest(lane, address)
                )
            )
        return done.rowcount > 0

    def suppression(self, lane: Lane, address: str) -> Suppression | None:
        """Return since when and why an address is blocked, None where it is not."""
        table = tables.suppressions
        with self._database.read() as connection:
            row = connection.execute(
                select(table.c.since_ms, table.c.reason).where(
                    table.c.channel == int(lane), table.c.digest == wire.digest(lane, address)
                )
            ).one_or_none()
        return Suppression(row.since_ms, row.reason) if row is not None else None

    def waiting(self, partitions: int) -> list[Waiting]:
        """Return what each partition has under way; all of it as of one moment."""
        messages, progress, outbox = tables.messages, tables.progress, tables.outbox
        # Who is on the way to another partition may be written to by a call that had begun.
        owner = case((messages.c.partition < 0, 0), else_=messages.c.partition)
        sending = (
            select(owner.label("partition"), func.count())
            .where(messages.c.state == State.SENDING)
            .group_by(owner)
        )
        pending = (
            select(messages.c.partition)
            .join(progress, progress.c.partition == messages.c.partition)
            .where(messages.c.state == State.PENDING)
            .group_by(messages.c.partition)
        )
        reached = messages.c.wake_ms <= progress.c.over_ms
        due = pending.add_columns(func.count()).where(reached)
        later = pending.add_columns(func.min(messages.c.wake_ms)).where(~reached)
        untold = select(outbox.c.partition, func.count()).group_by(outbox.c.partition)
        in_flight = [0] * partitions
        next_due_ms: dict[int, int] = {}
        with self._database.read() as connection:
            for query in (sending, due, untold):
                for partition, count in connection.execute(query):
                    in_flight[partition] += count
            next_due_ms.update((row[0], row[1]) for row in connection.execute(later))
        return [Waiting(count, next_due_ms.get(n)) for n, count in enumerate(in_flight)]

    def _messages(self, query: Any) -> list[message_pb2.Message]:
        with self._database.read() as connection:
            rows: Sequence[Row[Any]] = connection.execute(query).all()
            ids = [row.message_id for row in rows]
            parts: list[dict[str, list[Row[Any]]]] = [{}, {}]
            for table, found in zip((tables.checks, tables.attempts), parts, strict=True):
                for chunk in chunks(ids):
                    mine = select(table).where(table.c.message_id.in_(chunk))
                    for each in connection.execute(mine.order_by(table.c.number)):
                        found.setdefault(each.message_id, []).append(each)
        checks, attempts = parts
        return [
            wire.message(row, checks.get(row.message_id, []), attempts.get(row.message_id, []))
            for row in rows
        ]


def _published(row: Row[Any]) -> Published:
    template = template_pb2.Template.FromString(row.template)
    template.name = f"templates/{row.template_id}"
    template.version = row.version
    template.publish_time.CopyFrom(timestamp(row.publish_ms))
    return Published(row.template_id, row.version, template, row.input_id, row.inbound_seq)
