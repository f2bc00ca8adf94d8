"""The records of the logs: inbound packs in, fact packs out, byte by byte the same at a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import Message

from coterie.log.v1.definition_pb2 import AudienceMember
from coterie.log.v1.facts_pb2 import Fact, IdentityAssigned, ProfilesMerged
from coterie.log.v1.handoff_pb2 import Departure
from coterie.log.v1.heads_pb2 import (
    EventHead,
    FactHead,
    FactPackHead,
    InboundHead,
    InboundPackHead,
)
from coterie.log.v1.inbound_pb2 import Inbound
from coterie.log.v1.outcome_pb2 import MessageOutcome
from coterie.type.v1.change_pb2 import AttributeChange, ConsentChange, LinkChange
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

BODIES: Mapping[str, int] = {
    field.name: field.number for field in Fact.DESCRIPTOR.oneofs_by_name["body"].fields
}
"""The number by which a pack of facts says that it holds one of a kind."""


_Said = EventHead | AttributeChange | ConsentChange | LinkChange | AudienceMember

_PARSERS: Final[Mapping[str, type[_Said]]] = {
    "event": EventHead,
    "attributes": AttributeChange,
    "consent": ConsentChange,
    "link": LinkChange,
    MEMBER: AudienceMember,
}
"""What is read of the body of a personal input: of an event whose it is, and no more."""


class Input(NamedTuple):
    """One input with what every one is asked for; `kind` is None for one that is not known.

    Its body is bytes: most of it goes on into the facts unread.
    """

    message: InboundHead
    kind: str | None
    input_id: str


def parse_pack(payload: bytes) -> list[Input]:
    """Return the inputs of an inbound record; raises DecodeError."""
    messages = InboundPackHead.FromString(payload).inputs
    return [Input(one, one.WhichOneof("body"), one.input_id) for one in messages]


def number_in(message: InboundHead, kind: str | None) -> int:
    """Return the number of the profile that an input names; 0 where it names none by number."""
    if kind == OUTCOME:
        return MessageOutcome.FromString(message.message_outcome).profile_id
    if kind == MEMBER:
        return AudienceMember.FromString(message.audience_member).profile_id
    return 0


class Said(NamedTuple):
    """What a personal input says of itself: its body as far as it is read, and whom it names."""

    body: _Said
    identities: Sequence[Identity]
    given: list[Identifier]


def said_by(message: InboundHead, kind: str) -> Said:
    """Return what a personal input says, the identities as they came and as identifiers."""
    # Nearly all are events: without a look-up of what they are.
    body: _Said = (
        EventHead.FromString(message.event)
        if kind == "event"
        else _PARSERS[kind].FromString(getattr(message, kind))
    )
    identities = tuple(body.identities)
    return Said(body, identities, [(one.namespace, one.value) for one in identities])


def derived_identifiers(body: _Said, namespaces: Namespaces) -> list[Identifier]:
    """Return the identifiers that attributes bring: those named like a configured namespace."""
    if not isinstance(body, AttributeChange):
        return []
    attributes = body.attributes
    found = []
    for namespace in namespaces.order:
        if namespace in attributes:
            text = attributes[namespace].text
            if 0 < len(text) <= VALUE_LIMIT and "\0" not in text:
                found.append((namespace, text))
    return found


def parked_input(place: Place, stamp_ms: int, content: bytes, namespaces: Namespaces) -> Parked:
    """Return an input that waits, from its bytes."""
    message = InboundHead.FromString(content)
    kind = message.WhichOneof("body") or ""
    if number := number_in(message, kind):
        return Parked(place, stamp_ms, content, (), number)
    body, _, given = said_by(message, kind)
    named = (*given, *derived_identifiers(body, namespaces)) if given else ()
    return Parked(place, stamp_ms, content, named)


def came_with(said: Said, namespaces: Namespaces) -> Identity:
    """Return the identity that the input came with: its primary, else the highest."""
    body, identities, given = said
    if len(given) == 1:
        return identities[0]
    primary = body.primary_namespace if isinstance(body, EventHead) else ""
    if primary:
        for identity in identities:
            if identity.namespace == primary:
                return identity
    return identities[given.index(min(given, key=namespaces.rank))]


def _serialize(pack: FactPackHead) -> bytes:
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


class _Part:
    """The facts of one partition, and what they are."""

    __slots__ = ("bodies", "event_types", "pack")

    def __init__(self, seq: int) -> None:
        self.pack = FactPackHead(inbound_seq=seq)
        self.bodies: set[str] = set()
        self.event_types: set[str] = set()

    def entry(self, seq: int, waiting_seq: int) -> Entry:
        """Return the record."""
        pack = self.pack
        pack.waiting_seq = waiting_seq
        contents = pack.contents
        contents.SetInParent()
        contents.bodies.extend(sorted(BODIES[name] for name in self.bodies))
        contents.event_types.extend(sorted(self.event_types))
        if pack.facts:
            contents.log_time_ms = pack.facts[-1].log_time_ms
        return Entry(_serialize(pack), seq)


class FactWriter:
    """Collects the facts of one inbound record, by partition."""

    def __init__(self, seq: int, partitions: int) -> None:
        self._seq = seq
        self._partitions = partitions
        self._parts: dict[int, _Part] = {}
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
        self,
        message: InboundHead,
        kind: str,
        profile_id: int,
        came_with: Identity | None = None,
        event_type: str | None = None,
    ) -> None:
        """Add the input itself, as a fact about this profile; 0 is nobody."""
        partition = profile_id >> ORDINAL_BITS if profile_id else NOBODY_PARTITION
        fact = self._add(partition, profile_id, kind)
        if came_with is not None:
            fact.came_with.CopyFrom(came_with)
        if event_type is not None:
            self._parts[partition].event_types.add(event_type)
            fact.event = message.event
        else:
            setattr(fact, kind, getattr(message, kind))

    def write_change(self, change: Change) -> None:
        """Add a change of the graph; a refusal is none."""
        if isinstance(change, Assigned):
            assigned = IdentityAssigned(former_profile_id=change.former)
            assigned.identity.namespace, assigned.identity.value = change.identifier
            self._write(change.profile_id, "identity_assigned", assigned)
        elif isinstance(change, Merged):
            cause = (self._seq, self.index, change.profile_id, change.loser)
            merge_id = derive_id("merge", *map(str, cause))
            merged = ProfilesMerged(merge_id=merge_id, merged_profile_id=change.loser)
            self._write(change.profile_id, "profiles_merged", merged)

    def write_departure(self, transit: Transit) -> None:
        """Tell the partition of the person who leaves it."""
        winner, loser = transit.crossing.winner, transit.crossing.loser
        departure = Departure(merge_id=transit.merge_id, into_profile_id=winner)
        self._write(loser, "departure", departure)

    def write_arrival(self, transit: Transit, guest: int) -> None:
        """Add the merge, with what the person brings from the other partition."""
        winner, loser = transit.crossing.winner, transit.crossing.loser
        merged = ProfilesMerged(merge_id=transit.merge_id, merged_profile_id=loser)
        merged.arrival.guest_profile_id = guest
        for service, state in sorted(transit.handoffs.items()):
            merged.arrival.handoffs.add(merge_id=transit.merge_id, service=service, state=state)
        self._write(winner, "profiles_merged", merged)

    def write_to_all(self, message: InboundHead, kind: str) -> None:
        """Add the input to every partition, as a fact about nobody."""
        for partition in range(self._partitions):
            setattr(self._add(partition, 0, kind), kind, getattr(message, kind))

    def entries(self, waiting_seq: int = 0, *, to_all: bool = False) -> dict[int, Entry]:
        """Return one record a partition that is concerned; all are where there are no facts.

        The first partition always is: its log says how far the stage has come. `waiting_seq` is the
        oldest record of which an input waits; once that is another, `to_all` lets everybody know.
        """
        some = self._parts and not to_all
        concerned = (ANCHOR_PARTITION,) if some else range(self._partitions)
        parts = {**{partition: _Part(self._seq) for partition in concerned}, **self._parts}
        return {partition: part.entry(self._seq, waiting_seq) for partition, part in parts.items()}

    def _write(self, profile_id: int, kind: str, body: Message) -> None:
        fact = self._add(profile_id >> ORDINAL_BITS, profile_id, kind)
        setattr(fact, kind, body.SerializeToString(deterministic=True))

    def _add(self, partition: int, profile_id: int, kind: str) -> FactHead:
        part = self._parts.get(partition)
        if part is None:
            part = self._parts[partition] = _Part(self._seq)
        part.bodies.add(kind)
        fact = part.pack.facts.add()
        fact.index = self.index
        fact.log_time_ms = self._log_time_ms
        fact.received_ms = self._stamp_ms
        fact.profile_id = profile_id
        fact.input_id = self._input_id
        if self._traceparent:
            fact.traceparent = self._traceparent
        return fact
