"""Facts, as they come in the log, to rows: the reading half of the projection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from coterie.log.v1 import facts_pb2, outcome_pb2
from services.kit.facts import body_numbers
from services.kit.upserts import Row
from services.messaging import tables

ENGAGED = frozenset({"message.opened", "message.clicked"})
"""The events by which a person shows at what hour messages are read."""

_PERSONAL = (tables.attributes, tables.consents, tables.preferences, tables.engagement)


@dataclass(frozen=True, slots=True)
class Merge:
    """A profile that became part of another, and the number that it had for a moment as a guest."""

    merged: int
    remaining: int
    guest: int


@dataclass(frozen=True, slots=True)
class Leaving:
    """A person who leaves for another partition, told at this log time."""

    profile_id: int
    merge_id: str
    log_time_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the log says became of a message; `received_ms` is when it was told."""

    outcome: outcome_pb2.MessageOutcome
    received_ms: int


@dataclass(slots=True)
class FactRows:
    """The rows of some facts, each under the profile that its fact names."""

    by_table: dict[str, list[Row]] = field(
        default_factory=lambda: {
            each.name: [] for each in (*_PERSONAL, tables.catalog_items, tables.templates)
        }
    )
    merges: list[Merge] = field(default_factory=list)
    leaving: list[Leaving] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    traceparents: list[str] = field(default_factory=list)

    def read(self, facts: Iterable[facts_pb2.Fact], inbound_seq: int) -> None:
        """Add what the facts of one inbound record say."""
        first = tables.arrival_of(inbound_seq, 0)
        for fact in facts:
            reader = _READERS.get(fact.WhichOneof("body") or "")
            if reader is not None:
                reader(self, fact, first | fact.index)

    def rows_of_people(self) -> Iterator[Row]:
        """Return every row that belongs to a person, so that it can be given to another."""
        for table in _PERSONAL:
            yield from self.by_table[table.name]


def _read_attributes(rows: FactRows, fact: facts_pb2.Fact, arrival: int) -> None:
    change, came_with = fact.attributes, _came_with(fact)
    as_of_ms = _to_ms(change.as_of_time) if change.HasField("as_of_time") else fact.received_ms
    rows.by_table["attributes"].extend(
        {
            "profile_id": fact.profile_id,
            "name": name,
            "came_with": came_with,
            "value": value.SerializeToString(),
            "as_of_ms": as_of_ms,
            "arrival": arrival,
        }
        for name, value in change.attributes.items()
    )


def _read_consent(rows: FactRows, fact: facts_pb2.Fact, arrival: int) -> None:
    change = fact.consent
    as_of_ms = _to_ms(change.as_of_time) if change.HasField("as_of_time") else fact.received_ms
    said = {
        "profile_id": fact.profile_id,
        "came_with": _came_with(fact),
        "as_of_ms": as_of_ms,
        "arrival": arrival,
    }
    rows.by_table["consents"].extend(
        {**said, "channel": each.channel, "status": each.status} for each in change.consents
    )
    if change.preferred_channel:
        rows.by_table["preferences"].append({**said, "channel": change.preferred_channel})


def _read_event(rows: FactRows, fact: facts_pb2.Fact, _arrival: int) -> None:
    event = fact.event
    if event.type not in ENGAGED or not fact.profile_id:
        return
    occurred_ms = fact.received_ms
    if event.HasField("occurred_time"):
        occurred_ms = min(occurred_ms, _to_ms(event.occurred_time))
    row = {"occurred_ms": occurred_ms, "event_id": event.event_id, "came_with": _came_with(fact)}
    rows.by_table["engagement"].append({"profile_id": fact.profile_id, **row})


def _read_item(rows: FactRows, fact: facts_pb2.Fact, arrival: int) -> None:
    item = fact.catalog_item
    row = {"sku": item.sku, "item": item.SerializeToString(), "arrival": arrival}
    rows.by_table["catalog_items"].append(row)


def _read_template(rows: FactRows, fact: facts_pb2.Fact, arrival: int) -> None:
    publication = fact.template_publication
    rows.by_table["templates"].append(
        {
            "template_id": publication.template_id,
            "version": publication.version,
            "template": publication.template.SerializeToString(),
            "input_id": fact.input_id,
            "publish_ms": fact.log_time_ms,
            "inbound_seq": arrival >> tables.ARRIVAL_SHIFT,
        }
    )


def _read_merge(rows: FactRows, fact: facts_pb2.Fact, _arrival: int) -> None:
    merge = fact.profiles_merged
    guest = merge.arrival.guest_profile_id
    rows.merges.append(Merge(merge.merged_profile_id, fact.profile_id, guest))


def _read_departure(rows: FactRows, fact: facts_pb2.Fact, _arrival: int) -> None:
    leaving = Leaving(fact.profile_id, fact.departure.merge_id, fact.log_time_ms)
    rows.leaving.append(leaving)


def _read_outcome(rows: FactRows, fact: facts_pb2.Fact, _arrival: int) -> None:
    rows.told.append(Told(fact.message_outcome, fact.received_ms))


_READERS: Mapping[str, Callable[[FactRows, facts_pb2.Fact, int], None]] = {
    "event": _read_event,
    "attributes": _read_attributes,
    "consent": _read_consent,
    "catalog_item": _read_item,
    "template_publication": _read_template,
    "profiles_merged": _read_merge,
    "departure": _read_departure,
    "message_outcome": _read_outcome,
}

PARTING = body_numbers(("profile_divided", "profile_erased"))
"""The facts at which it matters what was said before them: such a pack is taken input by input."""

READ_BODIES = body_numbers(
    ("tick", "profile_divided", "profile_erased", *(name for name in _READERS if name != "event"))
)
"""Of which facts a pack must be read, beside events by which people show that they read: these.

A tick ends an instant, though it makes no row.
"""


def _came_with(fact: facts_pb2.Fact) -> str:
    identity = fact.came_with
    return f"{identity.namespace}:{identity.value}" if identity.namespace else ""


def _to_ms(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000
