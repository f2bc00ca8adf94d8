"""Events that go on as bytes: the facts, the state and the refusals are those of plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_stages import (
    START_MS,
    Workplace,
    attributes,
    event,
    handoff,
    identity,
    link,
    outcome,
    tick,
)

from coterie.log.v1.handoff_pb2 import Departure
from coterie.log.v1.heads_pb2 import FactPackHead
from coterie.log.v1.inbound_pb2 import Inbound
from segcore._inbound import InboundReader
from services.identity import packs
from services.kit.log.port import Record

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NAMES = ("crm", "loyalty", "email", "ecid", "zz", "é")


class Unread:
    """A kernel that understands nothing, so that Python decides of every input."""

    is_sound = False

    def __init__(self, _payload: bytes) -> None: ...


def framed(content: bytes) -> bytes:
    """Return the bytes as an input of a pack."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x0a" + bytes([*length, size]) + content


class Crowd:
    """Draws packs about few people who meet often, now and then in a form that no sender uses."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._at_ms = START_MS
        self._count = 0
        self.merges: list[str] = []

    def pack(self) -> bytes:
        inputs = [self._input() for _ in range(self._chance.choice((0, 1, 3, 12)))]
        return b"".join(map(framed, inputs))

    def _input(self) -> bytes:
        chance = self._chance
        self._count += 1
        self._at_ms += chance.choice((0, 0, 1, 900))
        message = self._message()
        if chance.random() < 0.3:
            message.traceparent = TRACE
        content = message.SerializeToString()
        if chance.random() < 0.06:
            content += chance.choice(
                (
                    b"\x72\x00",  # another body
                    b"\x52\x05\x1a\x03\x0a\x01\xff",  # another event, which is no UTF-8
                    b"\x52\x04\x0a\x01\x00\x12",  # one that is cut short
                    b"\x20\x01",  # a number that nobody knows
                    b"\x0a\x03a\x00b",  # an id with U+0000
                    b"\xa2\x06\x01x",  # a kind that nobody knows
                )
            )
        if content and chance.random() < 0.01:
            place = chance.randrange(len(content))
            content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
        return content

    def _message(self) -> Inbound:
        chance = self._chance
        input_id = f"i{self._count if chance.random() < 0.9 else chance.randrange(20)}"
        at_ms = self._at_ms + chance.choice((0, 0, 5_000, -START_MS - 5, -self._at_ms))
        names = [
            f"{name}:{chance.randrange(5)}"
            for name in chance.choices(NAMES, k=chance.choice((0, 1, 1, 1, 2, 3)))
        ]
        made: Inbound
        match chance.choices(range(6), (70, 10, 8, 4, 4, 4))[0]:
            case 0:
                made = self._event(input_id, names, at_ms)
            case 1:
                made = link(input_id, *names, at_ms=at_ms)
            case 2:
                mail = str(chance.randrange(5))
                made = attributes(input_id, *names, at_ms=at_ms, email=mail)
            case 3:
                made = tick(self._at_ms)
            case 4:
                made = outcome(input_id, chance.randrange(1, 4))
            case _:
                merges = self.merges
                made = handoff(chance.choice(merges)) if merges else Inbound(received_ms=at_ms)
        return made

    def _event(self, input_id: str, names: list[str], at_ms: int) -> Inbound:
        chance = self._chance
        message = event(input_id, *names, at_ms=at_ms, primary=chance.choice(("", "", *NAMES)))
        message.event.type = chance.choice(("page_view", "purchase", "", "Ж"))
        message.event.properties["sku"].text = "x" * chance.choice((0, 3, 200))
        if chance.random() < 0.2:
            message.event.occurred_time.FromMilliseconds(self._at_ms)
        if chance.random() < 0.1:
            message.event.identities.append(identity("zz:\0"))
        if chance.random() < 0.1:
            message.input_id = ""
        return message


def play(
    monkeypatch: pytest.MonkeyPatch, partitions: int, seed: int, *, plain: bool
) -> list[object]:
    """Return what comes of a drawn history: of each pack its facts, or what it is refused with."""
    monkeypatch.setattr(packs, "InboundReader", Unread if plain else InboundReader)
    place = Workplace(partitions=partitions)
    crowd = Crowd(random.Random(seed))
    found: list[object] = []
    for seq in range(1, 25):
        try:
            outputs = place.derivation.apply([Record(seq, crowd.pack())])
        except DecodeError:
            found.append("refused")
            break
        found.append(outputs)
        for entries in outputs.values():
            crowd.merges.extend(departures(entries[0].payload))
        found.append((place.derivation.state.state_hash(), place.derivation.duplicates))
    found.append((place.derivation.ownerless, place.derivation.state.unsaved_journal))
    place.close()
    return found


def departures(payload: bytes) -> Iterator[str]:
    """Return the merges that a pack begins, after a look that it is written as protobuf does."""
    pack = FactPackHead.FromString(payload)
    assert pack.SerializeToString(deterministic=True) == payload
    kinds = {fact.WhichOneof("body") for fact in pack.facts}
    assert pack.contents.bodies == sorted(packs.BODIES[kind] for kind in kinds if kind)
    for fact in pack.facts:
        if fact.HasField("departure"):
            yield Departure.FromString(fact.departure).merge_id


@settings(max_examples=60, deadline=None)
@given(partitions=st.sampled_from([1, 3]), seed=st.integers(0, 2**32))
def test_any_history_gives_the_facts_that_plain_python_gives(partitions: int, seed: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        expected = play(monkeypatch, partitions, seed, plain=True)
        assert play(monkeypatch, partitions, seed, plain=False) == expected


def test_events_of_known_people_pass_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Workplace()
    place.take(event("e1", "crm:A", "ecid:D"))
    parsed: list[int] = []
    at = packs.InboundRecord.at

    def noting(record: packs.InboundRecord, index: int) -> packs.Input:
        parsed.append(index)
        return at(record, index)

    monkeypatch.setattr(packs.InboundRecord, "at", noting)
    facts = place.take(
        event("e2", "ecid:D", "crm:A"),
        event("e3", "crm:A", primary="crm"),
        event("e2", "ecid:D"),
        event("e4", "crm:B"),
        event("e5", "crm:B"),
    )
    assert parsed == [3]
    assert [(fact.index, fact.came_with.value) for fact in facts] == [
        (0, "A"),
        (1, "A"),
        (3, ""),
        (3, "B"),
        (4, "B"),
    ]
    place.close()


def test_an_input_that_is_asked_for_beyond_the_last_is_refused() -> None:
    with pytest.raises(IndexError, match="expected the place of one of 0 inputs, found 0"):
        packs.InboundRecord(b"").at(0)
    with pytest.raises(IndexError, match="expected the place of one of 0 inputs, found 3"):
        InboundReader(b"").input(3)
