"""Facts, as they come in the log, to rows: the reading half of the projection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from coterie.log.v1.facts_pb2 import IdentityAssigned, ProfileDivided, ProfilesMerged
from coterie.log.v1.handoff_pb2 import Departure
from coterie.log.v1.heads_pb2 import EventHead, FactHead, FactPackHead
from coterie.type.v1 import schema_pb2
from coterie.type.v1.change_pb2 import AttributeChange, CatalogItem, ConsentChange
from services.kit.upserts import Row
from services.profile import tables
from services.profile.divisions import Division


class FactRows:
    """The rows of some packs, each under the profile that its fact names.

    Of all that is said nothing hangs on the order, save where a profile is divided: `divide` hears
    of that where it comes, and takes the rows so far with `clear`.
    """

    def __init__(self, divide: Callable[[Division], None]) -> None:
        self._divide = divide
        self.by_table: dict[str, list[Row]] = {
            table.name: []
            for table in (
                tables.identifiers,
                tables.attributes,
                tables.consents,
                tables.preferences,
                tables.timeline,
                tables.catalog_items,
            )
        }
        self.merges: list[tuple[int, int]] = []
        self.departures: list[Row] = []
        self.merge_ids: list[str] = []
        self.schemas: list[tuple[int, schema_pb2.Schema]] = []
        self.traceparents: list[str] = []
        self.log_time_ms = 0
        self.waiting_seq = 0
        self._profiles: dict[int, Row] = {}
        self._readers: Mapping[str, Callable[[FactHead, int], None]] = {
            "event": self._read_event,
            "attributes": self._read_attributes,
            "consent": self._read_consent,
            "identity_assigned": self._read_identifier,
            "catalog_item": self._read_catalog_item,
            "schema": self._read_schema,
            "profiles_merged": self._read_merge,
            "departure": self._read_departure,
            "profile_divided": self._read_division,
        }

    @property
    def profiles(self) -> list[Row]:
        """A row for each profile that a fact is about."""
        return list(self._profiles.values())

    def read(self, payload: bytes) -> None:
        """Add what a pack says; raises DecodeError."""
        pack = FactPackHead.FromString(payload)
        self.waiting_seq = pack.waiting_seq
        first = tables.arrival_of(pack.inbound_seq, 0)
        readers = self._readers
        for fact in pack.facts:
            body = fact.WhichOneof("body") or ""
            if fact.profile_id:
                self._count(fact, events=body == "event")
            reader = readers.get(body)
            if reader is not None:
                reader(fact, first | fact.index)
            if fact.traceparent:
                self.traceparents.append(fact.traceparent)
        if pack.facts:
            self.log_time_ms = pack.facts[-1].log_time_ms

    def clear(self) -> None:
        """Forget the rows, which are written; what they were read from stays known."""
        for rows in self.by_table.values():
            rows.clear()
        self.merges.clear()
        self.departures.clear()
        self._profiles.clear()

    def rows_of_profiles(self) -> Iterator[Row]:
        """Return every row that belongs to a profile, so that it can be given to another."""
        yield from self._profiles.values()
        for name, rows in self.by_table.items():
            if name != tables.catalog_items.name:
                yield from rows

    def _count(self, fact: FactHead, *, events: bool) -> None:
        profile_id = fact.profile_id
        row = self._profiles.get(profile_id)
        if row is None:
            self._profiles[profile_id] = row = {
                "profile_id": profile_id,
                "create_ms": fact.log_time_ms,
                "event_count": 0,
            }
        row["event_count"] += events

    def _read_event(self, fact: FactHead, _arrival: int) -> None:
        body = fact.event
        event = EventHead.FromString(body)
        received_ms = occurred_ms = fact.received_ms
        if event.HasField("occurred_time"):
            occurred_ms = min(received_ms, _to_ms(event.occurred_time))
        self.by_table["timeline"].append(
            {
                "profile_id": fact.profile_id,
                "occurred_ms": occurred_ms,
                "received_ms": received_ms,
                "event_id": event.event_id,
                "type": event.type,
                "event": body,
                "came_with": _came_with(fact),
            }
        )

    def _read_attributes(self, fact: FactHead, arrival: int) -> None:
        change = AttributeChange.FromString(fact.attributes)
        as_of_ms = fact.received_ms
        if change.HasField("as_of_time"):
            as_of_ms = _to_ms(change.as_of_time)
        rows, came_with = self.by_table["attributes"], _came_with(fact)
        for name, value in change.attributes.items():
            rows.append(
                {
                    "profile_id": fact.profile_id,
                    "name": name,
                    "came_with": came_with,
                    "value": value.SerializeToString(),
                    "as_of_ms": as_of_ms,
                    "arrival": arrival,
                    "change_id": fact.input_id,
                }
            )

    def _read_consent(self, fact: FactHead, arrival: int) -> None:
        change = ConsentChange.FromString(fact.consent)
        as_of_ms = fact.received_ms
        if change.HasField("as_of_time"):
            as_of_ms = _to_ms(change.as_of_time)
        said = {
            "profile_id": fact.profile_id,
            "came_with": _came_with(fact),
            "as_of_ms": as_of_ms,
            "arrival": arrival,
        }
        for consent in change.consents:
            row = {"channel": consent.channel, "status": consent.status, "change_id": fact.input_id}
            self.by_table["consents"].append({**said, **row})
        if change.preferred_channel:
            row = {**said, "channel": change.preferred_channel}
            self.by_table["preferences"].append(row)

    def _read_identifier(self, fact: FactHead, arrival: int) -> None:
        identity = IdentityAssigned.FromString(fact.identity_assigned).identity
        self.by_table["identifiers"].append(
            {
                "namespace": identity.namespace,
                "value": identity.value,
                "profile_id": fact.profile_id,
                "arrival": arrival,
            }
        )

    def _read_catalog_item(self, fact: FactHead, arrival: int) -> None:
        item = CatalogItem.FromString(fact.catalog_item)
        row = {"sku": item.sku, "item": fact.catalog_item, "arrival": arrival}
        self.by_table["catalog_items"].append(row)

    def _read_schema(self, fact: FactHead, arrival: int) -> None:
        self.schemas.append((arrival, schema_pb2.Schema.FromString(fact.schema)))

    def _read_merge(self, fact: FactHead, _arrival: int) -> None:
        merged = ProfilesMerged.FromString(fact.profiles_merged)
        self.merges.append((merged.merged_profile_id, fact.profile_id))

    def _read_departure(self, fact: FactHead, _arrival: int) -> None:
        departure = Departure.FromString(fact.departure)
        row = {"profile_id": fact.profile_id, "into_id": departure.into_profile_id}
        self.departures.append(row)
        self.merge_ids.append(departure.merge_id)

    def _read_division(self, fact: FactHead, _arrival: int) -> None:
        divided = ProfileDivided.FromString(fact.profile_divided)
        leaving = tuple(f"{one.namespace}:{one.value}" for one in divided.identities)
        division = Division(fact.profile_id, divided.new_profile_id, leaving, fact.log_time_ms)
        self._divide(division)


def _came_with(fact: FactHead) -> str:
    identity = fact.came_with
    return f"{identity.namespace}:{identity.value}" if identity.namespace else ""


def _to_ms(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000
