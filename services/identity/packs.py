"""The records of the logs: inbound packs in, fact packs out, byte by byte the same at a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from coterie.type.v1.change_pb2 import AttributeChange
from coterie.type.v1.identity_pb2 import Identity
from services.identity.domain.changes import Assigned, Change, Merged
from services.identity.domain.graph import ORDINAL_BITS
from services.identity.domain.namespaces import Identifier, Namespaces
from services.identity.domain.transit import Parked, Place, Transit
from services.kit.ids import derive_id
from services.kit.log.port import APPEND_LIMIT_BYTES, Entry

PERSONAL: Final = frozenset({"event", "attributes", "consent", "link", "audience_member"})
"""Inputs that name a person; all others concern every partition."""

OUTCOME: Final = "message_outcome"
"""What became of a message: names a person too, by the profile's number."""

MEMBER: Final = "audience_member"
"""Who is published as a member from outside: names a person in either way."""

NOBODY_PARTITION = 0
"""Where events go that name nobody: they count in totals, and one partition must have them."""

ANCHOR_PARTITION = 0
"""Whose log takes something of every inbound record."""

VALUE_LIMIT = 256
"""Characters of an identifier; an attribute's text beyond that, or with U+0000, is none."""

KINDS: Mapping[str, int] = {
    field.name: field.number for field in Inbound.DESCRIPTOR.oneofs_by_name["body"].fields
}
"""The number under which the input ids of each kind of input are kept."""


class Input(NamedTuple):
    """One input with what every one is asked for; `kind` is None for one that is not known."""

    message: Inbound
    kind: str | None
    input_id: str


def parse_pack(payload: bytes) -> list[Input]:
    """Return the inputs of an inbound record; raises DecodeError."""
    messages = InboundPack.FromString(payload).inputs
    return [Input(one, one.WhichOneof("body"), one.input_id) for one in messages]


def number_in(message: Inbound, kind: str | None) -> int:
    """Return the number of the profile that an input names; 0 where it names none by number."""
    if kind == OUTCOME:
        return message.message_outcome.profile_id
    return message.audience_member.profile_id if kind == MEMBER else 0


def identities_of(message: Inbound, kind: str) -> tuple[Sequence[Identity], list[Identifier]]:
    """Return the identities that a personal input names, as they came and as identifiers."""
    identities = getattr(message, kind).identities
    return identities, [(identity.namespace, identity.value) for identity in identities]


def derived_identifiers(change: AttributeChange, namespaces: Namespaces) -> list[Identifier]:
    """Return the identifiers that attributes bring: those named like a configured namespace."""
    attributes = change.attributes
    found = []
    for namespace in namespaces.order:
        if namespace in attributes:
            text = attributes[namespace].text
            if 0 < len(text) <= VALUE_LIMIT and "\0" not in text:
                found.append((namespace, text))
    return found


def named_in(message: Inbound, kind: str, namespaces: Namespaces) -> tuple[Identifier, ...]:
    """Return all identifiers that a personal input brings, given or derived."""
    _, given = identities_of(message, kind)
    if kind != "attributes" or not given:
        return tuple(given)
    return (*given, *derived_identifiers(message.attributes, namespaces))


def parked_input(place: Place, stamp_ms: int, content: bytes, namespaces: Namespaces) -> Parked:
    """Return an input that waits, from its bytes."""
    message = Inbound.FromString(content)
    kind = message.WhichOneof("body") or ""
    if number := number_in(message, kind):
        return Parked(place, stamp_ms, content, (), number)
    return Parked(place, stamp_ms, content, named_in(message, kind, namespaces))


def came_with(
    message: Inbound, kind: str, given: Sequence[Identifier], namespaces: Namespaces
) -> int:
    """Return the index of the identity that the input came with: its primary, else the highest."""
    if len(given) == 1:
        return 0
    primary = message.event.primary_namespace if kind == "event" else ""
    if primary:
        for index, (namespace, _) in enumerate(given):
            if namespace == primary:
                return index
    return given.index(min(given, key=namespaces.rank))


def _serialize(pack: FactPack) -> bytes:
    """Return the pack's bytes, the same for the same facts, and few enough for one append."""
    payload = pack.SerializeToString(deterministic=True)
    if len(payload) > APPEND_LIMIT_BYTES:
        # A thousand inputs, each with sixteen new identifiers and an id of great length: what is
        # said of the input itself stays whole, and then it is at most 7 MB.
        for fact in pack.facts:
            if fact.WhichOneof("body") in {"identity_assigned", "profiles_merged"}:
                fact.ClearField("input_id")
                fact.ClearField("traceparent")
        payload = pack.SerializeToString(deterministic=True)
    return payload


class FactWriter:
    """Collects the facts of one inbound record, by partition."""

    def __init__(self, seq: int, partitions: int) -> None:
        self._seq = seq
        self._partitions = partitions
        self._packs: dict[int, FactPack] = {}
        self.index = 0
        self._log_time_ms = 0
        self._stamp_ms = 0
        self._traceparent = ""
        self._input_id = ""

    def begin(self, index: int, source: Input, stamp_ms: int, log_time_ms: int) -> None:
        """Say which input the facts come from until the next call."""
        message, _, input_id = source
        self.index = index
        self._log_time_ms = log_time_ms
        self._stamp_ms = stamp_ms
        self._traceparent = message.traceparent
        self._input_id = input_id

    def write_input(
        self, message: Inbound, kind: str, profile_id: int, came_with: Identity | None
    ) -> None:
        """Add the input itself, as a fact about this profile; 0 is nobody."""
        fact = self._add(profile_id >> ORDINAL_BITS if profile_id else NOBODY_PARTITION, profile_id)
        if came_with is not None:
            fact.came_with.CopyFrom(came_with)
        getattr(fact, kind).CopyFrom(getattr(message, kind))

    def write_change(self, change: Change) -> None:
        """Add a change of the graph; a refusal is none."""
        if isinstance(change, Assigned):
            fact = self._add(change.profile_id >> ORDINAL_BITS, change.profile_id)
            assigned = fact.identity_assigned
            assigned.identity.namespace, assigned.identity.value = change.identifier
            assigned.former_profile_id = change.former
        elif isinstance(change, Merged):
            fact = self._add(change.profile_id >> ORDINAL_BITS, change.profile_id)
            merged = fact.profiles_merged
            merged.merged_profile_id = change.loser
            cause = (self._seq, self.index, change.profile_id, change.loser)
            merged.merge_id = derive_id("merge", *map(str, cause))

    def write_departure(self, transit: Transit) -> None:
        """Tell the partition of the person who leaves it."""
        winner, loser = transit.crossing.winner, transit.crossing.loser
        departure = self._add(loser >> ORDINAL_BITS, loser).departure
        departure.merge_id, departure.into_profile_id = transit.merge_id, winner

    def write_arrival(self, transit: Transit, guest: int) -> None:
        """Add the merge, with what the person brings from the other partition."""
        winner, loser = transit.crossing.winner, transit.crossing.loser
        merged = self._add(winner >> ORDINAL_BITS, winner).profiles_merged
        merged.merge_id, merged.merged_profile_id = transit.merge_id, loser
        merged.arrival.guest_profile_id = guest
        for service, state in sorted(transit.handoffs.items()):
            merged.arrival.handoffs.add(merge_id=transit.merge_id, service=service, state=state)

    def write_to_all(self, message: Inbound, kind: str) -> None:
        """Add the input to every partition, as a fact about nobody."""
        body = getattr(message, kind)
        for partition in range(self._partitions):
            copied = getattr(self._add(partition, 0), kind)
            copied.SetInParent()
            copied.CopyFrom(body)

    def entries(self, waiting_seq: int = 0, *, to_all: bool = False) -> dict[int, Entry]:
        """Return one record a partition that is concerned; all are where there are no facts.

        The first partition always is: its log says how far the stage has come. `waiting_seq` is the
        oldest record of which an input waits; once that is another, `to_all` lets everybody know.
        """
        some = self._packs and not to_all
        concerned = (ANCHOR_PARTITION,) if some else range(self._partitions)
        empty = {partition: FactPack(inbound_seq=self._seq) for partition in concerned}
        packs = {**empty, **self._packs}
        for pack in packs.values():
            pack.waiting_seq = waiting_seq
        return {partition: Entry(_serialize(pack), self._seq) for partition, pack in packs.items()}

    def _add(self, partition: int, profile_id: int) -> Fact:
        pack = self._packs.get(partition)
        if pack is None:
            pack = self._packs[partition] = FactPack(inbound_seq=self._seq)
        fact = pack.facts.add()
        fact.index = self.index
        fact.log_time_ms = self._log_time_ms
        fact.received_ms = self._stamp_ms
        fact.profile_id = profile_id
        fact.input_id = self._input_id
        if self._traceparent:
            fact.traceparent = self._traceparent
        return fact
