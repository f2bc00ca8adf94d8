"""One write of the dispatcher: read for all messages at once, decided each, written together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from coterie.log.v1 import intents_pb2
from coterie.messaging.v1 import template_pb2
from services.kit import upserts
from services.kit.sql import chunks
from services.messaging import tables, wire
from services.messaging.decisions import Ending, end, keep_checks, set_columns
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
from services.messaging.drafts import Draft
from services.messaging.erasures import ERASED
from services.messaging.gatekeeper import Gatekeeper
from services.messaging.providers.port import Letter

# Built once: building a statement costs more than running it.
_NAMED = select(tables.messages).where(
    tables.messages.c.message_id.in_(bindparam("messages", expanding=True)),
    tables.messages.c.state.in_([int(State.PENDING), int(State.SENDING)]),
)
_OVER = select(tables.progress.c.partition, tables.progress.c.over_ms)
_ANSWERED = (
    update(tables.attempts)
    .where(
        tables.attempts.c.message_id == bindparam("of"),
        tables.attempts.c.number == bindparam("of_number"),
    )
    .values(outcome=bindparam("outcome"), detail=bindparam("detail"))
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is this dispatcher's to hand over, once: the `attempt`-th time."""

    letter: Letter
    attempt: int


@dataclass(frozen=True, slots=True)
class Claiming:
    """Take the message, to hand it over as it was made."""

    message_id: str
    draft: Draft
    content: bytes


@dataclass(frozen=True, slots=True)
class Settling:
    """Write down what the provider answered, and what follows from it."""

    claim: Claim
    answer: Answer
    idempotent: bool
    traceparent: str

    @property
    def message_id(self) -> str:
        """The message that was handed over."""
        return self.claim.letter.message_id


@dataclass(frozen=True, slots=True)
class Failing:
    """End a message that cannot be made or handed over at all."""

    message_id: str
    reason: str
    traceparent: str = ""


Entry = Claiming | Settling | Failing


class Entries:
    """Takes entries in the caller's transaction; nothing is written before `write`."""

    def __init__(
        self, connection: Connection, clock_ms: Callable[[], int], stamp_ms: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._clock_ms = clock_ms
        self._stamp_ms = stamp_ms
        self._over: dict[int, int] = {
            row.partition: row.over_ms for row in connection.execute(_OVER)
        }
        self._changes: dict[tuple[str, ...], list[upserts.Row]] = defaultdict(list)
        self._checks: dict[str, gate.Verdict] = {}
        self._begun: list[upserts.Row] = []
        self._answered: list[upserts.Row] = []
        self._endings: list[Ending] = []

    def take(self, entries: Sequence[Entry]) -> list[Claim | None]:
        """Return for each what is claimed by it: None also where the message may not go."""
        rows = rows_of(self._connection, {entry.message_id for entry in entries})
        wanted = {entry.message_id for entry in entries if isinstance(entry, Claiming)}
        gatekeeper = Gatekeeper(
            self._connection, [row for row in rows.values() if row.message_id in wanted]
        )
        claims: list[Claim | None] = []
        for entry in entries:
            row = rows.get(entry.message_id)
            claim = None
            match entry:
                case Claiming() if row is not None and is_free(row):
                    claim = self._claim(row, entry, gatekeeper)
                case Settling() if row is not None and _is_held(row, entry.claim.attempt):
                    self.settle(row, entry.answer, entry.traceparent, idempotent=entry.idempotent)
                case Failing() if row is not None and is_free(row):
                    self._end(row, Ended(State.FAILED, entry.reason), entry.traceparent)
            claims.append(claim)
        return claims

    def settle(self, row: Row[Any], answer: Answer, traceparent: str, *, idempotent: bool) -> None:
        """Take down the answer to the call that the message is held for."""
        self._answered.append(
            {
                "of": row.message_id,
                "of_number": row.attempts,
                "outcome": str(answer.outcome),
                # What a provider says may name the person, who may be erased by now.
                "detail": "" if row.reason == ERASED else answer.detail,
            }
        )
        unanswered = row.unanswered + (answer.outcome is Outcome.NO_ANSWER)
        send = intents_pb2.Intent.FromString(row.intent).send
        marketing = wire.is_marketing(send)
        tried = Tried(row.attempts, unanswered, row.first_ms)
        now_ms = self._over_ms(row)
        match follow_up(answer, tried, now_ms, idempotent=idempotent, marketing=marketing):
            case Again() if row.reason:
                # Withdrawn while the call was under way.
                ended = gave_up(tried) if unanswered else Ended(State.CANCELLED, row.reason)
                self._end(row, ended, traceparent, unanswered=unanswered)
            case Again(at_ms):
                self._set(
                    row,
                    state=int(State.PENDING),
                    unanswered=unanswered,
                    wake_ms=min(at_ms, send.expire_ms or at_ms),
                )
            case Ended() as ended:
                values: dict[str, Any] = {"unanswered": unanswered}
                if ended.state is State.SENT:
                    values["send_ms"] = self._stamp_ms()
                self._end(row, ended, traceparent, **values)

    def write(self) -> None:
        """Write all that was taken, each kind at one go."""
        connection = self._connection
        keep_checks(connection, self._checks)
        for names, rows in self._changes.items():
            connection.execute(set_columns(names), rows)
        if self._begun:
            connection.execute(insert(tables.attempts), self._begun)
        if self._answered:
            connection.execute(_ANSWERED, self._answered)
        end(connection, self._endings)

    def _claim(self, row: Row[Any], entry: Claiming, gatekeeper: Gatekeeper) -> Claim | None:
        intent = intents_pb2.Intent.FromString(row.intent)
        if 0 < intent.send.expire_ms <= self._over_ms(row):
            self._end(row, _forbidden(row, "expired"))
            return None
        verdict = gatekeeper.ask(row, intent.send)
        if not row.attempts:
            self._checks[row.message_id] = verdict
        if verdict.lane is None:
            self._end(row, _forbidden(row, verdict.reason))
            return None
        if (verdict.lane, verdict.address) != (entry.draft.lane, entry.draft.address):
            # Made for another address than it has by now: it is made again.
            self._set(row, lane=int(verdict.lane), address=verdict.address)
            return None
        return self._begin(row, intent.send.campaign, entry)

    def _begin(self, row: Row[Any], campaign: str, entry: Claiming) -> Claim:
        draft = entry.draft
        number = row.attempts + 1
        self._set(
            row,
            state=int(State.SENDING),
            lane=int(draft.lane),
            address=draft.address,
            content=entry.content,
            template_version=draft.version,
            attempts=number,
            first_ms=row.first_ms if row.attempts else self._over_ms(row),
        )
        attempt = {"message_id": row.message_id, "number": number, "start_ms": self._clock_ms()}
        self._begun.append({**attempt, "outcome": "", "detail": ""})
        made = template_pb2.Content.FromString(entry.content)
        letter = Letter(
            message_id=row.message_id,
            lane=draft.lane,
            address=draft.address,
            campaign=campaign,
            subject=made.subject,
            text=made.text,
            html=made.html,
            decide_ms=row.decide_ms,
        )
        return Claim(letter, number)

    def _set(self, row: Row[Any], **values: Any) -> None:
        self._changes[tuple(values)].append({"of": row.message_id, **values})

    def _end(self, row: Row[Any], ended: Ended, traceparent: str = "", **values: Any) -> None:
        stamp_ms = values.get("send_ms") or self._stamp_ms()
        self._endings.append(Ending(row, ended, stamp_ms, traceparent, values))

    def _over_ms(self, row: Row[Any]) -> int:
        """Return how far time has come for the message."""
        if row.partition == tables.NOBODYS:
            return max(self._over.values(), default=0)
        return self._over.get(row.partition, 0)


def rows_of(connection: Connection, message_ids: Collection[str]) -> Mapping[str, Row[Any]]:
    """Return those of the messages that have not come to their end, by id."""
    rows: dict[str, Row[Any]] = {}
    for chunk in chunks(message_ids):
        found = connection.execute(_NAMED, {"messages": chunk})
        rows.update((row.message_id, row) for row in found)
    return rows


def is_free(row: Row[Any]) -> bool:
    """Return whether it waits, decided, and is not on its way to another partition."""
    decided = row.state == State.PENDING and row.decide_ms is not None
    return decided and row.partition != tables.NOBODYS


def _is_held(row: Row[Any], attempt: int) -> bool:
    return bool(row.state == State.SENDING and row.attempts == attempt)


def _forbidden(row: Row[Any], reason: str) -> Ended:
    """Return the end of a message that may go no more: what was not answered may be sent."""
    if row.unanswered:
        return gave_up(Tried(row.attempts, row.unanswered, row.first_ms))
    return Ended(State.DISCARDED, reason)
