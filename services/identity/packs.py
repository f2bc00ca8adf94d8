"""The records of the logs: inbound packs in, fact packs out, byte by byte the same at a replay."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.message import Message

from coterie.log.v1.definition_pb2 import AudienceMember
from coterie.log.v1.facts_pb2 import (
    Contents,
    Fact,
    IdentityAssigned,
    ProfileDivided,
    ProfileErased,
    ProfilesMerged,
)
from coterie.log.v1.handoff_pb2 import Departure
from coterie.log.v1.heads_pb2 import (
    EventHead,
    FactHead,
    FactPackHead,
    InboundHead,
    InboundPackHead,
)
from coterie.log.v1.inbound_pb2 import Inbound, ProfileErasure
from coterie.log.v1.outcome_pb2 import MessageOutcome
from coterie.type.v1.change_pb2 import (
    AttributeChange,
    ConsentChange,
    LinkChange,
    UnlinkChange,
)
from coterie.type.v1.identity_pb2 import Identity
from segcore._fact_writer import FactPart
from segcore._inbound import InboundReader
from services.identity.domain.changes import Assigned, Change, Divided, Merged
from services.identity.domain.graph import ORDINAL_BITS
from services.identity.domain.namespaces import Identifier, Namespaces
from services.identity.domain.transit import Parked, Place, Transit
from services.kit.ids import derive_id
from services.kit.log.port import APPEND_LIMIT_BYTES, Entry

PERSONAL: Final = frozenset({"event", "attributes", "consent", "link", "unlink", "audience_member"})
"""Inputs that name a person; all others concern every partition."""

OUTCOME: Final = "message_outcome"
"""What became of a message: names a person too, by the profile's number."""

ERASURE: Final = "erasure"
"""Of whom nothing is to be kept: a person, by the profile's number."""

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


_Said = EventHead | AttributeChange | ConsentChange | LinkChange | UnlinkChange | AudienceMember

_PARSERS: Final[Mapping[str, type[_Said]]] = {
    "event": EventHead,
    "attributes": AttributeChange,
    "consent": ConsentChange,
    "link": LinkChange,
    "unlink": UnlinkChange,
    MEMBER: AudienceMember,
}
"""What is read of the body of a personal input: of an event whose it is, and no more."""


_OF_THE_GRAPH: Final = frozenset({"identity_assigned", "profiles_merged", "profile_divided"})
"""Facts that tell what an input changed in the graph."""


class Input(NamedTuple):
    """One input with what every one is asked for; `kind` is None for one that is not known.

    Its body is bytes: most of it goes on into the facts unread.
    """

    message: InboundHead
    kind: str | None
    input_id: str


def parse_pack(payload: bytes) -> list[Input]:
    """Return the inputs of an inbound record; raises DecodeError."""
    return [_input(one) for one in InboundPackHead.FromString(payload).inputs]


def _input(message: InboundHead) -> Input:
    return Input(message, message.WhichOneof("body"), message.input_id)


class InboundRecord:
    """The inputs of an inbound record; those that a kernel may let pass are parsed if asked for.

    Raises DecodeError, here or where an input is asked for.
    """

    def __init__(self, payload: bytes) -> None:
        reader = InboundReader(payload)
        if reader.is_sound:
            self.reader: InboundReader | None = reader
            self._inputs = {place: self._parse(reader, place) for place in reader.others()}
            self._count = len(reader)
        else:
            self.reader = None
            self._inputs = dict(enumerate(parse_pack(payload)))
            self._count = len(self._inputs)

    def __len__(self) -> int:
        return self._count

    def input_ids(self) -> Mapping[str, Collection[str]]:
        """Return the ids of all inputs, by kind; to be called before any event passes."""
        found: dict[str, list[str]] = {kind: [] for kind in KINDS}
        if self.reader is not None:
            found["event"] = self.reader.event_ids()
        for _, kind, input_id in self._inputs.values():
            if kind is not None and input_id:
                found[kind].append(input_id)
        return found

    def at(self, index: int) -> Input:
        """Return one input."""
        if self.reader is not None and index not in self._inputs:
            return self._parse(self.reader, index)
        return self._inputs[index]

    @staticmethod
    def _parse(reader: InboundReader, place: int) -> Input:
        return _input(InboundHead.FromString(reader.input(place)))


def number_in(message: InboundHead, kind: str | None) -> int:
    """Return the number of the profile that an input names; 0 where it names none by number."""
    if kind == OUTCOME:
        return MessageOutcome.FromString(message.message_outcome).profile_id
    if kind == ERASURE:
        return ProfileErasure.FromString(message.erasure).profile_id
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


def _fitting(payload: bytes) -> bytes:
    """Return the pack's bytes, the same for the same facts, and few enough for one append."""
    if len(payload) <= APPEND_LIMIT_BYTES:
        return payload
    # A thousand inputs, each with sixteen new identifiers and an id of great length: what is said
    # of the input itself stays whole, and then it is at most 7 MB.
    pack = FactPackHead.FromString(payload)
    for fact in pack.facts:
        if fact.WhichOneof("body") in _OF_THE_GRAPH:
            fact.ClearField("input_id")
            fact.ClearField("traceparent")
    return pack.SerializeToString(deterministic=True)


def _entry(part: FactPart, seq: int, waiting_seq: int) -> Entry:
    """Return the record of one partition's facts, its fields in their order."""
    contents = Contents(
        bodies=sorted(part.bodies),
        event_types=sorted(part.event_types),
        log_time_ms=part.log_time_ms,
    )
    head = FactPackHead(inbound_seq=seq).SerializeToString(deterministic=True)
    tail = FactPackHead(waiting_seq=waiting_seq, contents=contents)
    payload = head + part.facts() + tail.SerializeToString(deterministic=True)
    return Entry(_fitting(payload), seq)


class FactWriter:
    """Collects the facts of one inbound record, by partition."""

    def __init__(self, seq: int, partitions: int) -> None:
        self._seq = seq
        self.parts = [FactPart() for _ in range(partitions)]
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
        fact = self._fact(profile_id)
        if came_with is not None:
            fact.came_with.CopyFrom(came_with)
        if event_type is not None:
            self.parts[partition].event_types.add(event_type)
        setattr(fact, kind, getattr(message, kind))
        self._add(partition, kind, fact)

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
        elif isinstance(change, Divided):
            self._write_division(change)

    def _write_division(self, change: Divided) -> None:
        """Add an un-merge, and then whose the identifiers are."""
        cause = (self._seq, self.index, change.profile_id, change.created)
        division_id = derive_id("division", *map(str, cause))
        divided = ProfileDivided(division_id=division_id, new_profile_id=change.created)
        for namespace, value in change.identifiers:
            divided.identities.add(namespace=namespace, value=value)
        self._write(change.profile_id, "profile_divided", divided)
        for identifier in change.identifiers:
            self.write_change(Assigned(change.created, identifier, change.profile_id))

    def write_erasure(self, profile_id: int) -> None:
        """Tell the partition of a person who is no more."""
        erasure_id = derive_id("erasure", str(self._seq), str(self.index), str(profile_id))
        self._write(profile_id, "profile_erased", ProfileErased(erasure_id=erasure_id))

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
        fact = self._fact(0)
        setattr(fact, kind, getattr(message, kind))
        for partition in range(len(self.parts)):
            self._add(partition, kind, fact)

    def entries(self, waiting_seq: int = 0, *, to_all: bool = False) -> dict[int, Entry]:
        """Return one record a partition that is concerned; all are where there are no facts.

        The first partition always is: its log says how far the stage has come. `waiting_seq` is the
        oldest record of which an input waits; once that is another, `to_all` lets everybody know.
        """
        some = any(part.count for part in self.parts) and not to_all
        return {
            partition: _entry(part, self._seq, waiting_seq)
            for partition, part in enumerate(self.parts)
            if part.count or partition == ANCHOR_PARTITION or not some
        }

    def _write(self, profile_id: int, kind: str, body: Message) -> None:
        fact = self._fact(profile_id)
        setattr(fact, kind, body.SerializeToString(deterministic=True))
        self._add(profile_id >> ORDINAL_BITS, kind, fact)

    def _fact(self, profile_id: int) -> FactHead:
        return FactHead(
            index=self.index,
            log_time_ms=self._log_time_ms,
            received_ms=self._stamp_ms,
            profile_id=profile_id,
            input_id=self._input_id,
            traceparent=self._traceparent,
        )

    def _add(self, partition: int, kind: str, fact: FactHead) -> None:
        content = fact.SerializeToString(deterministic=True)
        self.parts[partition].add(content, BODIES[kind], self._log_time_ms)
