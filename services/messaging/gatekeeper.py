"""Asks the gate again for messages that were decided, with what is known at this position."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row

from coterie.log.v1 import intents_pb2
from services.messaging import wire
from services.messaging.domain import gate
from services.messaging.domain.lanes import LANE_OF, Asked, Lane
from services.messaging.recipients import load_blocked, load_people

_ASKED = {lane: asked for asked, lane in LANE_OF.items()}


class Gatekeeper:
    """Knows the people of some messages, read for all at once in the caller's transaction."""

    def __init__(self, connection: Connection, rows: Collection[Row[Any]]) -> None:
        self._people = load_people(connection, {row.profile_id for row in rows})
        begun = {row.message_id: {Lane(row.lane): row.address} for row in rows if row.attempts}
        self._blocked = load_blocked(connection, begun)

    def zone(self, row: Row[Any]) -> str:
        """Return the zone of the person, empty where none is known."""
        return self._people[row.profile_id].zone

    def ask(self, row: Row[Any], send: intents_pb2.SendIntent) -> gate.Verdict:
        """Ask the gate. What was handed over once keeps its lane and its address."""
        marketing = wire.is_marketing(send)
        recipient = self._people[row.profile_id].recipient
        if not row.attempts:
            return gate.decide(send.channels, recipient, marketing=marketing)
        lane = Lane(row.lane)
        same = gate.Recipient(
            {lane: row.address}, recipient.consents, suppressed=self._blocked[row.message_id]
        )
        return gate.decide([_ASKED.get(lane, Asked.ASSISTANT)], same, marketing=marketing)
