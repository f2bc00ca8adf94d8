"""The dispatcher's writes: what is due, claim, settle, recover. Each is one transaction.

A message is claimed, with consent, suppression and expiry read once more, before its provider is
called, and settled after. What a crash leaves claimed is looked at by `recover`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from coterie.log.v1 import intents_pb2
from coterie.messaging.v1 import template_pb2
from services.kit.sql import Database
from services.messaging import tables, wire
from services.messaging.decisions import end, keep_checks
from services.messaging.domain import gate
from services.messaging.domain.attempts import (
    Again,
    Answer,
    Ended,
    Outcome,
    State,
    Tried,
    follow_up,
    gave_up,
)
from services.messaging.domain.hours import zone_of
from services.messaging.domain.lanes import LANE_OF, Asked, Lane
from services.messaging.drafts import Draft, draft_of
from services.messaging.providers.port import Letter
from services.messaging.recipients import Person, load_people

# Built once: building a statement costs more than running it.
_PENDING = select(tables.messages).where(
    tables.messages.c.message_id == bindparam("message"),
    tables.messages.c.state == int(State.PENDING),
    tables.messages.c.decide_ms.is_not(None),
    tables.messages.c.partition != tables.NOBODYS,
)
_SENDING = select(tables.messages).where(
    tables.messages.c.message_id == bindparam("message"),
    tables.messages.c.state == int(State.SENDING),
    tables.messages.c.attempts == bindparam("attempt"),
)

_ASKED = {lane: asked for asked, lane in LANE_OF.items()}


@dataclass(frozen=True, slots=True)
class Due:
    """A message that may go now, as far as log time is concerned; `waited`: not at once."""

    message_id: str
    lane: Lane
    traceparent: str
    waited: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is this dispatcher's to hand over, once: the `attempt`-th time."""

    letter: Letter
    attempt: int


class Ledger:
    """What the dispatcher reads and writes. `now_ms` stamps what goes to the inbound log."""

    def __init__(
        self,
        database: Database,
        zone: str,
        clock_ms: Callable[[], int],
        stamp_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._zone = zone
        self._clock_ms = clock_ms
        self._stamp_ms = stamp_ms

    def due(self, lanes: Collection[Lane], limit: int, in_hand: Collection[str]) -> list[Due]:
        """Return up to `limit` messages on these lanes that are due, the longest due first."""
        messages, progress = tables.messages, tables.progress
        query = (
            select(
                messages.c.message_id,
                messages.c.lane,
                messages.c.intent,
                (messages.c.wake_ms > messages.c.at_ms).label("waited"),
            )
            .join(progress, progress.c.partition == messages.c.partition)
            .where(
                messages.c.state == State.PENDING,
                messages.c.wake_ms <= progress.c.over_ms,
                messages.c.decide_ms.is_not(None),
                messages.c.lane.in_([int(lane) for lane in lanes]),
            )
            .order_by(messages.c.wake_ms, messages.c.message_id)
            .limit(limit + len(in_hand))
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        found = [
            Due(
                row.message_id,
                Lane(row.lane),
                intents_pb2.Intent.FromString(row.intent).traceparent,
                bool(row.waited),
            )
            for row in rows
            if row.message_id not in in_hand
        ]
        return found[:limit]

    def draft(self, message_id: str) -> Draft | None:
        """Return what the message is to be made of, None where it may not go now.

        Nothing is claimed yet: making it takes time, in which everything may change.
        """
        with self._database.read() as connection:
            row = _pending(connection, message_id)
            if row is None:
                return None
            intent = intents_pb2.Intent.FromString(row.intent)
            person = _person(connection, row)
            verdict = self._look(connection, row, intent.send, person)
            if verdict.lane is None:
                return Draft(Lane(row.lane), row.address, 0, {}, {}, row.content or b"")
            if row.content is not None:
                return Draft(
                    verdict.lane, verdict.address, row.template_version, {}, {}, row.content
                )
            zone = zone_of(person.zone, self._zone)
            return draft_of(connection, row.profile_id, intent, verdict, zone)

    def claim(self, message_id: str, draft: Draft, content: bytes) -> Claim | None:
        """Take the message to hand it over, None where it may not go, or not as it was made."""
        with self._database.write() as connection:
            row = _pending(connection, message_id)
            if row is None:
                return None
            intent = intents_pb2.Intent.FromString(row.intent)
            if 0 < intent.send.expire_ms <= self._over_ms(connection, row):
                self._end(connection, row, Ended(State.DISCARDED, "expired"))
                return None
            verdict = self._look(connection, row, intent.send, _person(connection, row))
            if not row.attempts:
                keep_checks(connection, message_id, verdict)
            if verdict.lane is None:
                self._end(connection, row, _forbidden(row, verdict.reason))
                return None
            if (verdict.lane, verdict.address) != (draft.lane, draft.address):
                # Made for another address than it has by now: it is made again.
                values = {"lane": int(verdict.lane), "address": verdict.address}
                _set(connection, row, **values)
                return None
            return self._begin(connection, row, intent, draft, content)

    def settle(self, claim: Claim, answer: Answer, *, idempotent: bool, traceparent: str) -> None:
        """Write down what the provider answered, and what follows from it."""
        with self._database.write() as connection:
            row = _sending(connection, claim.letter.message_id, claim.attempt)
            if row is not None:
                self._settle(connection, row, answer, idempotent=idempotent, trace=traceparent)

    def fail(self, message_id: str, reason: str, traceparent: str = "") -> None:
        """End a message that cannot be made or handed over at all."""
        with self._database.write() as connection:
            row = _pending(connection, message_id)
            if row is not None:
                self._end(connection, row, Ended(State.FAILED, reason), traceparent)

    def recover(self, idempotent: Callable[[Lane], bool]) -> int:
        """Look after what a former process had claimed and not settled; return how many.

        Its provider was perhaps called and perhaps not: that is an answer that never came.
        """
        table = tables.messages
        with self._database.write() as connection:
            rows = connection.execute(select(table).where(table.c.state == State.SENDING)).all()
            for row in rows:
                lane = Lane(row.lane)
                answer = Answer(Outcome.NO_ANSWER, "the process ended")
                self._settle(connection, row, answer, idempotent=idempotent(lane), trace="")
        return len(rows)

    @staticmethod
    def _look(
        connection: Connection, row: Row[Any], send: intents_pb2.SendIntent, person: Person
    ) -> gate.Verdict:
        """Ask the gate again. What was handed over once keeps its lane and its address."""
        marketing = wire.is_marketing(send)
        if not row.attempts:
            return gate.decide(send.channels, person.recipient, marketing=marketing)
        lane = Lane(row.lane)
        asked = _ASKED.get(lane, Asked.ASSISTANT)
        same = gate.Recipient(
            {lane: row.address},
            person.recipient.consents,
            suppressed=_blocked(connection, lane, row.address),
        )
        return gate.decide([asked], same, marketing=marketing)

    def _begin(
        self,
        connection: Connection,
        row: Row[Any],
        intent: intents_pb2.Intent,
        draft: Draft,
        content: bytes,
    ) -> Claim:
        number = row.attempts + 1
        start_ms = self._clock_ms()
        values: dict[str, Any] = {
            "state": int(State.SENDING),
            "lane": int(draft.lane),
            "address": draft.address,
            "content": content,
            "template_version": draft.version,
            "attempts": number,
        }
        if not row.attempts:
            values["first_ms"] = self._over_ms(connection, row)
        _set(connection, row, **values)
        attempt = {
            "message_id": row.message_id,
            "number": number,
            "start_ms": start_ms,
            "outcome": "",
            "detail": "",
        }
        connection.execute(insert(tables.attempts), [attempt])
        made = template_pb2.Content.FromString(content)
        letter = Letter(
            message_id=row.message_id,
            lane=draft.lane,
            address=draft.address,
            campaign=intent.send.campaign,
            subject=made.subject,
            text=made.text,
            html=made.html,
            decide_ms=row.decide_ms,
        )
        return Claim(letter, number)

    def _settle(
        self,
        connection: Connection,
        row: Row[Any],
        answer: Answer,
        *,
        idempotent: bool,
        trace: str,
    ) -> None:
        table = tables.attempts
        connection.execute(
            update(table)
            .where(table.c.message_id == row.message_id, table.c.number == row.attempts)
            .values(outcome=str(answer.outcome), detail=answer.detail)
        )
        unanswered = row.unanswered + (answer.outcome is Outcome.NO_ANSWER)
        now_ms = self._over_ms(connection, row)
        send = intents_pb2.Intent.FromString(row.intent).send
        marketing = wire.is_marketing(send)
        tried = Tried(row.attempts, unanswered, row.first_ms)
        match follow_up(answer, tried, now_ms, idempotent=idempotent, marketing=marketing):
            case Again(at_ms):
                _set(
                    connection,
                    row,
                    state=int(State.PENDING),
                    unanswered=unanswered,
                    wake_ms=min(at_ms, send.expire_ms or at_ms),
                )
            case Ended() as ended:
                values: dict[str, Any] = {"unanswered": unanswered}
                if ended.state is State.SENT:
                    values["send_ms"] = self._stamp_ms()
                self._end(connection, row, ended, trace, **values)

    def _end(
        self,
        connection: Connection,
        row: Row[Any],
        ended: Ended,
        traceparent: str = "",
        **values: Any,
    ) -> None:
        stamp_ms = values.get("send_ms") or self._stamp_ms()
        end(connection, row, ended, stamp_ms, traceparent, **values)

    @staticmethod
    def _over_ms(connection: Connection, row: Row[Any]) -> int:
        """Return how far time has come for the message."""
        table = tables.progress
        query = select(func.max(table.c.over_ms))
        if row.partition != tables.NOBODYS:
            query = query.where(table.c.partition == row.partition)
        return int(connection.execute(query).scalar_one_or_none() or 0)


def _person(connection: Connection, row: Row[Any]) -> Person:
    return load_people(connection, [row.profile_id])[row.profile_id]


def _pending(connection: Connection, message_id: str) -> Row[Any] | None:
    """Return the message if it waits, decided, and is not on its way to another partition."""
    return connection.execute(_PENDING, {"message": message_id}).one_or_none()


def _sending(connection: Connection, message_id: str, attempt: int) -> Row[Any] | None:
    found = {"message": message_id, "attempt": attempt}
    return connection.execute(_SENDING, found).one_or_none()


def _set(connection: Connection, row: Row[Any], **values: Any) -> None:
    table = tables.messages
    connection.execute(update(table).where(table.c.message_id == row.message_id).values(**values))


def _forbidden(row: Row[Any], reason: str) -> Ended:
    """Return the end of a message that may go no more: what was not answered may be sent."""
    if row.unanswered:
        return gave_up(Tried(row.attempts, row.unanswered, row.first_ms))
    return Ended(State.DISCARDED, reason)


def _blocked(connection: Connection, lane: Lane, address: str) -> frozenset[Lane]:
    table = tables.suppressions
    found = connection.execute(
        select(table.c.channel).where(
            table.c.channel == int(lane), table.c.digest == wire.digest(lane, address)
        )
    ).first()
    return frozenset({lane}) if found is not None else frozenset()
