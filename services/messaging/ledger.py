"""What the dispatcher reads and writes: what is due, drafts, claims and settlements, many at once.

A message is claimed, with consent, suppression and expiry read once more, before its provider is
called, and settled after. What a crash leaves claimed is looked at by `recover`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from coterie.log.v1 import intents_pb2
from services.kit.sql import Database
from services.messaging import tables
from services.messaging.domain.attempts import Answer, Outcome, State
from services.messaging.domain.hours import zone_of
from services.messaging.domain.lanes import Lane
from services.messaging.drafts import Draft, Wanted, drafts_of
from services.messaging.entries import Claim, Entries, Entry, is_free, rows_of
from services.messaging.gatekeeper import Gatekeeper

_messages, _progress = tables.messages, tables.progress

# Built once: building a statement costs more than running it. An index has the messages of a lane
# in this order, so that what is read does not grow with what waits.
_DUE = (
    select(
        _messages.c.message_id,
        _messages.c.intent,
        _messages.c.wake_ms,
        (_messages.c.wake_ms > _messages.c.at_ms).label("waited"),
    )
    .join(_progress, _progress.c.partition == _messages.c.partition)
    .where(
        _messages.c.state == int(State.PENDING),
        _messages.c.lane == bindparam("of_lane"),
        _messages.c.wake_ms <= select(func.max(_progress.c.over_ms)).scalar_subquery(),
        _messages.c.wake_ms <= _progress.c.over_ms,
        _messages.c.decide_ms.is_not(None),
    )
    .order_by(_messages.c.wake_ms, _messages.c.message_id)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Due:
    """A message that may go now, as far as log time is concerned; `waited`: not at once."""

    message_id: str
    lane: Lane
    traceparent: str
    waited: bool


class Ledger:
    """Each call is one transaction. `stamp_ms` stamps what goes to the inbound log."""

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

    def due(self, room: Mapping[Lane, int], in_hand: Collection[str]) -> list[Due]:
        """Return what is due on these lanes, the longest due first: of each as much as given."""
        found: list[Due] = []
        with self._database.read() as connection:
            for lane, most in room.items():
                asked = {"of_lane": int(lane), "most": most + len(in_hand)}
                rows = connection.execute(_DUE, asked).all()
                new = [row for row in rows if row.message_id not in in_hand]
                found += [
                    Due(
                        row.message_id,
                        lane,
                        intents_pb2.Intent.FromString(row.intent).traceparent,
                        bool(row.waited),
                    )
                    for row in new[:most]
                ]
        return found

    def drafts(self, message_ids: Sequence[str]) -> list[Draft | None]:
        """Return what each message is to be made of, None where it may not go now.

        Nothing is claimed yet: making it takes time, in which everything may change.
        """
        found: dict[str, Draft] = {}
        wanted: list[Wanted] = []
        with self._database.read() as connection:
            rows = [row for row in rows_of(connection, message_ids).values() if is_free(row)]
            gatekeeper = Gatekeeper(connection, rows)
            for row in rows:
                intent = intents_pb2.Intent.FromString(row.intent)
                verdict = gatekeeper.ask(row, intent.send)
                if verdict.lane is None:
                    # Whoever claims it hears the same, and it comes to its end there.
                    same = Draft(Lane(row.lane), row.address, 0, {}, {}, row.content or b"")
                    found[row.message_id] = same
                elif row.content is not None:
                    found[row.message_id] = Draft(
                        verdict.lane, verdict.address, row.template_version, {}, {}, row.content
                    )
                else:
                    zone = zone_of(gatekeeper.zone(row), self._zone)
                    wanted.append(
                        Wanted(row.profile_id, intent, verdict.lane, verdict.address, zone)
                    )
            found |= drafts_of(connection, wanted)
        return [found.get(message_id) for message_id in message_ids]

    def write(self, asked: Sequence[Entry]) -> list[Claim | None]:
        """Take all entries in one transaction; return what is claimed by each.

        None is claimed where the message may not go, or not as it was made.
        """
        with self._database.write() as connection:
            entries = Entries(connection, self._clock_ms, self._stamp_ms)
            claims = entries.take(asked)
            entries.write()
        return claims

    def recover(self, idempotent: Callable[[Lane], bool]) -> int:
        """Look after what a former process had claimed and not settled; return how many.

        Its provider was perhaps called and perhaps not: that is an answer that never came.
        """
        query = select(_messages).where(_messages.c.state == State.SENDING)
        answer = Answer(Outcome.NO_ANSWER, "the process ended")
        with self._database.write() as connection:
            rows = connection.execute(query).all()
            entries = Entries(connection, self._clock_ms, self._stamp_ms)
            for row in rows:
                entries.settle(row, answer, "", idempotent=idempotent(Lane(row.lane)))
            entries.write()
        return len(rows)
