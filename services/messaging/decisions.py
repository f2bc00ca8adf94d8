"""Intents become messages, and each is decided once its instant is over.

Runs in the stage's transaction, after the facts that come before. Decided means: discarded with
its reason, or pending on a channel until an instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, delete, insert, select, update

from coterie.log.v1 import intents_pb2
from services.kit import upserts
from services.kit.ids import partition_of
from services.kit.sql import chunks
from services.kit.telemetry import Tracing
from services.messaging import merges, tables, wire
from services.messaging.domain import gate
from services.messaging.domain.attempts import Ended, State, Tried, gave_up
from services.messaging.domain.hours import optimal_ms, zone_of
from services.messaging.recipients import Person, load_engagement, load_people

_REASONS = {"expired": "expired", "merged": "merged", "erased": "erased"}
"""What a withdrawal is told by, where it is more than that."""
_LAST = ("decide_ms", "send_ms", "unanswered")
"""The columns that may change with the end."""
_FORGET_CHECKS = delete(tables.checks).where(tables.checks.c.message_id == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Ending:
    """How a message comes to its end, and when that is told.

    `traceparent` is what it is part of, else the intent's trace; `values` are further columns.
    """

    row: Row[Any]
    ended: Ended
    at_ms: int
    traceparent: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


class Decisions:
    """Admits the intents of one partition and decides them.

    `exact`: the clock is virtual, so that a message is decided as of its own instant.
    """

    def __init__(self, partition: int, default_zone: str, tracing: Tracing, *, exact: bool) -> None:
        self._partition = partition
        self._default_zone = default_zone
        self._tracing = tracing
        self._exact = exact

    def admit(
        self, connection: Connection, intents: Sequence[intents_pb2.Intent], log_time_ms: int
    ) -> None:
        """Keep what is asked for, undecided; withdraw what is asked for no more."""
        named = {intent.profile_id for intent in intents}
        redirects = merges.find_redirects(connection, named)
        away = self._departed(connection, named)
        rows: list[upserts.Row] = []
        for intent in intents:
            if intent.WhichOneof("body") == "cancel":
                # It may withdraw what the same input asked for.
                upserts.keep_first(connection, tables.messages, rows)
                rows = []
                self._withdraw(connection, intent, log_time_ms)
                continue
            profile_id = merges.follow(redirects, intent.profile_id)
            rows.append(_new_row(intent, profile_id, is_away=intent.profile_id in away))
        upserts.keep_first(connection, tables.messages, rows)

    def has_undecided(self, connection: Connection) -> bool:
        """Return whether any message of the partition waits to be decided."""
        table = tables.messages
        query = select(table.c.message_id).where(*self._undecided()).limit(1)
        return connection.execute(query).first() is not None

    def decide_until(self, connection: Connection, over_ms: int) -> None:
        """Decide what was asked for at `over_ms` or before."""
        table = tables.messages
        rows = connection.execute(
            select(table)
            .where(*self._undecided(), table.c.at_ms <= over_ms)
            .order_by(table.c.at_ms, table.c.message_id)
        ).all()
        if not rows:
            return
        people = load_people(connection, [row.profile_id for row in rows])
        checks: list[upserts.Row] = []
        pending: list[upserts.Row] = []
        endings: list[Ending] = []
        for row in rows:
            intent = intents_pb2.Intent.FromString(row.intent)
            with self._span(intent.traceparent):
                verdict = gate.decide(
                    intent.send.channels,
                    people[row.profile_id].recipient,
                    marketing=wire.is_marketing(intent.send),
                )
                checks += _check_rows(row.message_id, verdict)
                decide_ms = max(over_ms, row.at_ms)
                if verdict.lane is None:
                    ended = Ended(State.DISCARDED, verdict.reason)
                    endings.append(Ending(row, ended, over_ms, values={"decide_ms": decide_ms}))
                    continue
            decided = {"lane": int(verdict.lane), "decide_ms": decide_ms}
            wake_ms = self._wake_ms(connection, row, intent.send, people[row.profile_id], over_ms)
            decided |= {"address": verdict.address, "wake_ms": wake_ms}
            pending.append({"of": row.message_id, **decided})
        if checks:
            connection.execute(insert(tables.checks), checks)
        if pending:
            connection.execute(set_columns(("lane", "decide_ms", "address", "wake_ms")), pending)
        end(connection, endings)

    def _span(self, traceparent: str) -> AbstractContextManager[object]:
        if not traceparent:
            return nullcontext()
        return self._tracing.span("messaging.decide", traceparent)

    def _undecided(self) -> tuple[Any, ...]:
        table = tables.messages
        return (
            table.c.state == State.PENDING,
            table.c.partition == self._partition,
            table.c.decide_ms.is_(None),
            # By this an index finds them among all that waits.
            table.c.lane == 0,
        )

    def _wake_ms(
        self,
        connection: Connection,
        row: Row[Any],
        send: intents_pb2.SendIntent,
        person: Person,
        over_ms: int,
    ) -> int:
        """Return when to send, or when the message expires where that is before."""
        due_ms = int(row.at_ms)
        if wire.is_optimal(send):
            from_ms = due_ms if self._exact else max(due_ms, over_ms)
            zone = zone_of(person.zone, self._default_zone)
            due_ms = optimal_ms(from_ms, load_engagement(connection, row.profile_id), zone)
        return min(due_ms, send.expire_ms or due_ms)

    def _withdraw(
        self, connection: Connection, intent: intents_pb2.Intent, log_time_ms: int
    ) -> None:
        """Withdraw a message; one of which a call is under way is not tried again after it."""
        table = tables.messages
        mine = select(table).where(table.c.message_id == intent.intent_id)
        row = connection.execute(mine).one_or_none()
        reason = _REASONS.get(intent.cancel.reason, "withdrawn")
        if row is not None and row.state == State.SENDING:
            held = {"of": row.message_id, "reason": reason}
            connection.execute(set_columns(("reason",)), held)
        if row is not None and row.state == State.PENDING:
            ended = Ended(State.CANCELLED, reason)
            if row.unanswered:
                # It was begun: nobody knows whether it has arrived.
                ended = gave_up(Tried(row.attempts, row.unanswered, row.first_ms))
            end(connection, [Ending(row, ended, log_time_ms)])

    @staticmethod
    def _departed(connection: Connection, profile_ids: set[int]) -> set[int]:
        table = tables.departures
        found: set[int] = set()
        for chunk in chunks(profile_ids):
            mine = select(table.c.profile_id).where(table.c.profile_id.in_(chunk))
            found.update(connection.execute(mine).scalars())
        return found


@cache
def set_columns(names: tuple[str, ...]) -> Update:
    """Return the statement that sets these columns of the message `of`."""
    table = tables.messages
    # Built once for each: building a statement costs more than running it.
    return (
        update(table)
        .where(table.c.message_id == bindparam("of"))
        .values({name: bindparam(name) for name in names})
    )


def keep_checks(connection: Connection, verdicts: Mapping[str, gate.Verdict]) -> None:
    """Keep what was looked at for each message, in place of what was looked at before."""
    if not verdicts:
        return
    connection.execute(_FORGET_CHECKS, [{"of": message_id} for message_id in verdicts])
    rows = [row for each, verdict in verdicts.items() for row in _check_rows(each, verdict)]
    if rows:
        connection.execute(insert(tables.checks), rows)


def _check_rows(message_id: str, verdict: gate.Verdict) -> list[upserts.Row]:
    return [
        {
            "message_id": message_id,
            "number": number,
            "asked": check.asked,
            "lane": check.lane or 0,
            "verdict": check.verdict,
            "consent": check.consent,
        }
        for number, check in enumerate(verdict.checks, 1)
    ]


def end(connection: Connection, endings: Sequence[Ending]) -> None:
    """Bring messages to their end, and put what is to be told of them into the outbox."""
    if not endings:
        return
    rows = [
        {
            "of": each.row.message_id,
            "state": int(each.ended.state),
            "reason": each.ended.reason,
            **{name: each.values.get(name, getattr(each.row, name)) for name in _LAST},
        }
        for each in endings
    ]
    connection.execute(set_columns(("state", "reason", *_LAST)), rows)
    connection.execute(insert(tables.outbox), [_told(each) for each in endings])


def _told(ending: Ending) -> upserts.Row:
    row = ending.row
    intent = intents_pb2.Intent.FromString(row.intent)
    intent.traceparent = ending.traceparent or intent.traceparent
    payload = wire.outcome_input(intent, row.profile_id, ending.ended, row.lane, ending.at_ms)
    return {"partition": max(row.partition, 0), "message_id": row.message_id, "payload": payload}


def _new_row(intent: intents_pb2.Intent, profile_id: int, *, is_away: bool) -> upserts.Row:
    gone = is_away and profile_id == intent.profile_id
    return {
        "message_id": intent.intent_id,
        "partition": tables.NOBODYS if gone else partition_of(profile_id),
        "profile_id": profile_id,
        "came_with": intent.came_with,
        "campaign": intent.send.campaign,
        "at_ms": intent.at_ms,
        "intent": intent.SerializeToString(),
        "state": int(State.PENDING),
        "reason": "",
        "wake_ms": intent.at_ms,
        "lane": 0,
        "address": "",
        "decide_ms": None,
        "send_ms": None,
        "template_version": 0,
        "content": None,
        "attempts": 0,
        "unanswered": 0,
        "first_ms": 0,
    }
