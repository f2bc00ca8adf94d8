"""Reads what the gate wants to know of people, for many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import BindParameter, Connection, bindparam, select

from coterie.type.v1 import value_pb2
from services.kit.sql import chunks
from services.messaging import tables, wire
from services.messaging.domain.gate import Recipient
from services.messaging.domain.lanes import ADDRESS_ATTRIBUTES, Lane

_CHANNELS = (int(Lane.EMAIL), int(Lane.SMS), int(Lane.PUSH))
"""Others may come with a newer writer of the log; this one knows no way there."""

ZONE = "zone"
"""The attribute that holds a person's IANA zone."""


_people: BindParameter[int] = bindparam("people", expanding=True)

# Built once: building a statement costs more than running it, and each message asks for all.
# Of what came with several identifiers the last one counts.
_ATTRIBUTES = (
    select(tables.attributes.c.profile_id, tables.attributes.c.name, tables.attributes.c.value)
    .where(
        tables.attributes.c.profile_id.in_(_people),
        tables.attributes.c.name.in_([*ADDRESS_ATTRIBUTES, ZONE]),
    )
    .order_by(tables.attributes.c.as_of_ms, tables.attributes.c.arrival)
)
_CONSENTS = (
    select(tables.consents.c.profile_id, tables.consents.c.channel, tables.consents.c.status)
    .where(tables.consents.c.profile_id.in_(_people), tables.consents.c.channel.in_(_CHANNELS))
    .order_by(tables.consents.c.as_of_ms, tables.consents.c.status, tables.consents.c.arrival)
)
_PREFERENCES = (
    select(tables.preferences.c.profile_id, tables.preferences.c.channel)
    .where(
        tables.preferences.c.profile_id.in_(_people), tables.preferences.c.channel.in_(_CHANNELS)
    )
    .order_by(tables.preferences.c.as_of_ms, tables.preferences.c.arrival)
)
_SUPPRESSIONS = select(tables.suppressions.c.channel, tables.suppressions.c.digest).where(
    tables.suppressions.c.digest.in_(bindparam("digests", expanding=True))
)


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of one person at this position."""

    recipient: Recipient
    zone: str


def load_people(connection: Connection, profile_ids: Collection[int]) -> Mapping[int, Person]:
    """Return each person's addresses, consent, preference, zone, and which addresses are blocked.

    Whoever reads this in a write transaction and acts on it there sees every suppression that has
    been acknowledged: writers take turns.
    """
    people: dict[int, Person] = {}
    for chunk in chunks(set(profile_ids)):
        texts = _texts(connection, chunk)
        consents = _consents(connection, chunk)
        preferred = _preferred(connection, chunk)
        addresses = {each: _addresses(texts[each]) for each in chunk}
        blocked = load_blocked(connection, addresses)
        for each in chunk:
            recipient = Recipient(
                addresses[each], consents[each], preferred.get(each), blocked[each]
            )
            people[each] = Person(recipient, texts[each].get(ZONE, ""))
    return people


def load_blocked(
    connection: Connection, addresses: Mapping[Key, Mapping[Lane, str]]
) -> dict[Key, frozenset[Lane]]:
    """Return on which lanes the addresses are blocked, for each key."""
    keys = {
        (key, lane): wire.digest(lane, address)
        for key, mine in addresses.items()
        for lane, address in mine.items()
    }
    found: set[tuple[int, str]] = set()
    for chunk in chunks(set(keys.values())):
        rows = connection.execute(_SUPPRESSIONS, {"digests": chunk})
        found.update((row.channel, row.digest) for row in rows)
    blocked: dict[Key, set[Lane]] = defaultdict(set)
    for (key, lane), digest in keys.items():
        if (int(lane), digest) in found:
            blocked[key].add(lane)
    return {key: frozenset(blocked[key]) for key in addresses}


def load_engagement(connection: Connection, profile_id: int) -> list[int]:
    """Return the instants at which the person opened or clicked."""
    table = tables.engagement
    rows = connection.execute(select(table.c.occurred_ms).where(table.c.profile_id == profile_id))
    return list(rows.scalars())


def _texts(connection: Connection, profile_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    texts: dict[int, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(_ATTRIBUTES, {"people": profile_ids}):
        texts[row.profile_id][row.name] = value_pb2.Value.FromString(row.value).text
    return texts


def _addresses(texts: Mapping[str, str]) -> dict[Lane, str]:
    return {lane: texts[name] for name, lane in ADDRESS_ATTRIBUTES.items() if texts.get(name)}


def _consents(connection: Connection, profile_ids: Sequence[int]) -> dict[int, dict[Lane, int]]:
    consents: dict[int, dict[Lane, int]] = defaultdict(dict)
    for row in connection.execute(_CONSENTS, {"people": profile_ids}):
        consents[row.profile_id][Lane(row.channel)] = row.status
    return consents


def _preferred(connection: Connection, profile_ids: Sequence[int]) -> dict[int, Lane]:
    rows = connection.execute(_PREFERENCES, {"people": profile_ids})
    return {row.profile_id: Lane(row.channel) for row in rows}
