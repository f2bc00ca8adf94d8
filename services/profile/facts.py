"""Facts, as they come in the log, to rows: the reading half of the projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from coterie.log.v1.facts_pb2 import IdentityAssigned, ProfileDivided, ProfilesMerged
from coterie.log.v1.handoff_pb2 import Departure
from coterie.log.v1.heads_pb2 import EventHead, FactHead, FactPackHead
from coterie.type.v1 import schema_pb2
from coterie.type.v1.change_pb2 import AttributeChange, CatalogItem, ConsentChange
from segcore._fact_reader import FactReader
from services.kit.upserts import Row
from services.profile import tables
from services.profile.divisions import Division
from services.profile.erasures import Erasure
from services.profile.merges import follow

EventRow = tuple[int, int, int, str, str, bytes, str]
"""An event: profile, when it happened and was received, id, type, bytes and what it came with."""


class FactRows:
    """The rows of some packs, each under the profile that its fact names.

    `profiles` are all of whom there is a fact, with the log's time at the first. Events are read by
    a kernel where they are plain.

    Of all that is said nothing hangs on the order, save where a profile is divided or erased:
    `part` hears of that where it comes, and takes the rows so far with `clear`.
    """

    def __init__(self, part: Callable[[Division | Erasure], None]) -> None:
        self._part = part
        self.by_table: dict[str, list[Row]] = {
            table.name: []
            for table in (
                tables.identifiers,
                tables.attributes,
                tables.consents,
                tables.preferences,
                tables.catalog_items,
            )
        }
        self.events: list[EventRow] = []
        self.profiles: dict[int, int] = {}
        self.merges: list[tuple[int, int]] = []
        self.departures: list[Row] = []
        self.merge_ids: list[str] = []
        self.schemas: list[tuple[int, schema_pb2.Schema]] = []
        self.traceparents: list[str] = []
        self.log_time_ms = 0
        self.waiting_seq = 0
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
            "profile_erased": self._read_erasure,
        }

    def read(self, payload: bytes) -> None:
        """Add what a pack says; raises DecodeError."""
        reader = FactReader(payload)
        if not reader.is_sound:
            self._read_messages(FactPackHead.FromString(payload))
            return
        self.waiting_seq = reader.waiting_seq
        first = tables.arrival_of(reader.inbound_seq, 0)
        place = 0
        while True:
            place = reader.pass_events(place, self.events, self.profiles, self.traceparents)
            if place == len(reader):
                break
            self._read(FactHead.FromString(reader.fact(place)), first)
            place += 1
        if place:
            self.log_time_ms = reader.log_time_ms

    def settle(self, redirects: Mapping[int, int]) -> None:
        """Give each row to the profile that its person is now."""
        for name, rows in self.by_table.items():
            if name != tables.catalog_items.name:
                for row in rows:
                    row["profile_id"] = follow(redirects, row["profile_id"])
        self.events = [(follow(redirects, row[0]), *row[1:]) for row in self.events]
        profiles, self.profiles = self.profiles, {}
        for profile_id, create_ms in profiles.items():
            owner = follow(redirects, profile_id)
            self.profiles[owner] = min(create_ms, self.profiles.get(owner, create_ms))

    def _read_messages(self, pack: FactPackHead) -> None:
        self.waiting_seq = pack.waiting_seq
        first = tables.arrival_of(pack.inbound_seq, 0)
        for fact in pack.facts:
            self._read(fact, first)
        if pack.facts:
            self.log_time_ms = pack.facts[-1].log_time_ms

    def clear(self) -> None:
        """Forget the rows, which are written; what they were read from stays known."""
        for rows in self.by_table.values():
            rows.clear()
        self.events.clear()
        self.profiles.clear()
        self.merges.clear()
        self.departures.clear()

    def _read(self, fact: FactHead, first: int) -> None:
        """Add what a fact says, of a pack whose first place among all inputs is `first`."""
        if fact.profile_id:
            self.profiles.setdefault(fact.profile_id, fact.log_time_ms)
        reader = self._readers.get(fact.WhichOneof("body") or "")
        if reader is not None:
            reader(fact, first | fact.index)
        if fact.traceparent:
            self.traceparents.append(fact.traceparent)

    def _read_event(self, fact: FactHead, _arrival: int) -> None:
        event = EventHead.FromString(fact.event)
        received_ms = occurred_ms = fact.received_ms
        if event.HasField("occurred_time"):
            occurred_ms = min(received_ms, _to_ms(event.occurred_time))
        said = (event.event_id, event.type, fact.event, _came_with(fact))
        self.events.append((fact.profile_id, occurred_ms, received_ms, *said))

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
        self._part(Division(fact.profile_id, divided.new_profile_id, leaving, fact.log_time_ms))

    def _read_erasure(self, fact: FactHead, _arrival: int) -> None:
        self._part(Erasure(fact.profile_id, fact.log_time_ms))


def _came_with(fact: FactHead) -> str:
    identity = fact.came_with
    return f"{identity.namespace}:{identity.value}" if identity.namespace else ""


def _to_ms(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000
