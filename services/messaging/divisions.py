"""People who come apart: what came with some identifiers is a new profile's from then on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, update

from coterie.log.v1 import facts_pb2
from services.kit.sql import chunks
from services.messaging import tables
from services.messaging.domain.attempts import State

_DIVIDED = (tables.attributes, tables.consents, tables.preferences, tables.engagement)
_ON_THE_WAY = (int(State.PENDING), int(State.SENDING))


def divide(connection: Connection, facts: Sequence[facts_pb2.Fact]) -> None:
    """Part the person whom an input divides, if it does; all before it is written.

    What was sent, or was not to be, stays told of who it was decided for; what is still to be sent
    goes with the identifier that brought it, as its journey does.
    """
    for fact in facts:
        if fact.HasField("profile_divided"):
            named = fact.profile_divided.identities
            leaving = [f"{each.namespace}:{each.value}" for each in named]
            _move(connection, fact.profile_id, fact.profile_divided.new_profile_id, leaving)


def _move(connection: Connection, former: int, created: int, leaving: Sequence[str]) -> None:
    messages = tables.messages
    for chunk in chunks(leaving):
        for table in _DIVIDED:
            mine = (table.c.profile_id == former) & table.c.came_with.in_(chunk)
            connection.execute(update(table).where(mine).values(profile_id=created))
        connection.execute(
            update(messages)
            .where(
                messages.c.profile_id == former,
                messages.c.came_with.in_(chunk),
                messages.c.state.in_(_ON_THE_WAY),
            )
            .values(profile_id=created)
        )
