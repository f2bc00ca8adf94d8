"""People who are no more: nothing is sent to them, and nothing here says who they were.

Their addresses are blocked, by digest: whoever comes with one of them later asks to be written to
by having it unblocked. What was counted stays, without who and what.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from coterie.log.v1 import facts_pb2, intents_pb2
from coterie.messaging.v1 import messaging_service_pb2 as pb
from coterie.type.v1 import value_pb2
from services.kit.sql import chunks
from services.kit.upserts import keep_first
from services.messaging import tables, wire
from services.messaging.decisions import Ending, end, set_columns
from services.messaging.domain.attempts import Ended, State, Tried, gave_up
from services.messaging.domain.lanes import ADDRESS_ATTRIBUTES, Lane

ERASED = "erased"

_PERSONAL = (tables.attributes, tables.consents, tables.preferences, tables.engagement)


def erase(connection: Connection, facts: Sequence[facts_pb2.Fact]) -> None:
    """Forget the person whom an input erases, if it does; all before it is written."""
    for fact in facts:
        if fact.HasField("profile_erased"):
            _erase(connection, fact.profile_id, fact.log_time_ms)


def _erase(connection: Connection, profile_id: int, log_time_ms: int) -> None:
    messages = tables.messages
    mine = select(messages).where(messages.c.profile_id == profile_id)
    rows = connection.execute(mine).all()
    _block(connection, profile_id, rows, log_time_ms)
    _end(connection, rows, log_time_ms)
    for table in _PERSONAL:
        connection.execute(delete(table).where(table.c.profile_id == profile_id))
    if not rows:
        return
    scrubbed = [
        {"of": row.message_id, "intent": _scrubbed(row.intent), "address": "", "content": None}
        | {"came_with": ""}
        for row in rows
    ]
    connection.execute(set_columns(("intent", "address", "content", "came_with")), scrubbed)
    attempts = tables.attempts
    for chunk in chunks([row.message_id for row in rows]):
        tried = attempts.c.message_id.in_(chunk)
        connection.execute(update(attempts).where(tried).values(detail=""))


def _end(connection: Connection, rows: Iterable[Row[Any]], log_time_ms: int) -> None:
    """End what waits; what a call is under way for is not tried again after it."""
    endings = []
    for row in rows:
        if row.state == State.SENDING:
            held = {"of": row.message_id, "reason": ERASED}
            connection.execute(set_columns(("reason",)), held)
        if row.state == State.PENDING:
            ended = Ended(State.CANCELLED, ERASED)
            if row.unanswered:
                ended = gave_up(Tried(row.attempts, row.unanswered, row.first_ms))
            endings.append(Ending(row, ended, log_time_ms))
    end(connection, endings)


def _block(
    connection: Connection, profile_id: int, rows: Iterable[Row[Any]], log_time_ms: int
) -> None:
    """Block each address that the person had, or was written to at."""
    table = tables.attributes
    said = connection.execute(
        select(table.c.name, table.c.value).where(
            table.c.profile_id == profile_id, table.c.name.in_([*ADDRESS_ATTRIBUTES])
        )
    )
    found = [
        (ADDRESS_ATTRIBUTES[row.name], value_pb2.Value.FromString(row.value).text) for row in said
    ]
    found += [
        (Lane(row.lane), row.address) for row in rows if row.lane and row.lane != Lane.ASSISTANT
    ]
    keys = {(int(lane), wire.digest(lane, address)) for lane, address in found if address}
    reason = int(pb.SUPPRESSION_REASON_ERASED)
    keep_first(
        connection,
        tables.suppressions,
        [
            {"channel": lane, "digest": digest, "since_ms": log_time_ms, "reason": reason}
            for lane, digest in sorted(keys)
        ],
    )


def _scrubbed(content: bytes) -> bytes:
    """Return an intent without the event that triggered it, and by whom."""
    intent = intents_pb2.Intent.FromString(content)
    intent.send.ClearField("trigger")
    intent.ClearField("came_with")
    intent.ClearField("traceparent")
    return intent.SerializeToString()
