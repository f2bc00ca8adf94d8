"""Facts as rows: what the kernel reads of a pack is what plain Python reads of it."""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_inputs import T0

from coterie.log.v1.facts_pb2 import Fact, FactPack
from segcore._fact_reader import FactReader
from services.profile import facts
from services.profile.facts import FactRows


class Unread:
    """A kernel that understands nothing, so that Python reads every fact."""

    is_sound = False

    def __init__(self, _payload: bytes) -> None: ...


def field(number: int, content: bytes) -> bytes:
    length, size = bytearray([number << 3 | 2]), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*length, size]) + content


def draw_fact(chance: random.Random, index: int) -> bytes:
    """Return a fact: most are events of people, some in a form that no sender uses."""
    fact = Fact(index=index, log_time_ms=T0 + index, received_ms=T0, input_id=f"i{index}")
    fact.profile_id = chance.choice((1, 2, 3, 1 << 32 | 7, 0))
    if chance.random() < 0.7:
        fact.came_with.namespace = chance.choice(("crm", "crm", "Ж", ""))
        fact.came_with.value = chance.choice(("é", "7", "a\0", "x" * 600))
    if chance.random() < 0.2:
        fact.traceparent = "trace"
    draw = chance.random()
    if draw < 0.8:
        fact.event.event_id = chance.choice((f"e{index}", "", "Ж", "a\0"))
        fact.event.type = chance.choice(("view", "purchase", "é", ""))
        fact.event.identities.add(namespace="crm", value="7")
        fact.event.properties["sku"].text = "x" * chance.choice((1, 200))
        if chance.random() < 0.4:
            fact.event.occurred_time.seconds = T0 // 1000 + chance.choice((-9, 0, 9))
            fact.event.occurred_time.nanos = chance.choice(
                (0, 7_000_000, 999_999_999, -1, -(10**8))
            )
    elif draw < 0.85:
        fact.identity_assigned.identity.namespace = "crm"
    elif draw < 0.9:
        fact.attributes.attributes["total"].number = 5
    elif draw < 0.95:
        fact.profiles_merged.merged_profile_id = 9
    else:
        fact.tick.SetInParent()
    content = fact.SerializeToString()
    if chance.random() < 0.05:
        odd = (b"\x52\x03\x0a\x01e", b"\x72\x00", b"\x40\x01", b"\x52\x01\x0a", b"\xa2\x06\x01x")
        content += chance.choice(odd)
    if chance.random() < 0.02:
        place = chance.randrange(len(content))
        content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
    return content


def draw_pack(seed: int) -> bytes:
    chance = random.Random(seed)
    drawn = [draw_fact(chance, index) for index in range(chance.choice((0, 1, 4, 20)))]
    head = FactPack(inbound_seq=7, waiting_seq=chance.choice((0, 3)))
    head.contents.bodies.append(10)
    return head.SerializeToString() + b"".join(field(2, fact) for fact in drawn)


def read(payload: bytes) -> object:
    """Return what comes of a pack, or that it is refused."""
    rows = FactRows(lambda _: None)
    try:
        rows.read(payload)
    except DecodeError:
        return "refused"
    told = (rows.merges, rows.departures, rows.schemas, rows.traceparents)
    return rows.events, rows.profiles, rows.by_table, told, rows.log_time_ms, rows.waiting_seq


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_pack_gives_the_rows_that_plain_python_gives(seed: int) -> None:
    payload = draw_pack(seed)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(facts, "FactReader", Unread)
        expected = read(payload)
    assert read(payload) == expected


@settings(max_examples=100, deadline=None)
@given(payload=st.binary(max_size=60))
def test_bytes_of_any_kind_are_refused_or_read_as_python_does(payload: bytes) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(facts, "FactReader", Unread)
        expected = read(payload)
    assert read(payload) == expected


def test_a_fact_that_is_asked_for_beyond_the_last_is_refused() -> None:
    with pytest.raises(IndexError, match="expected the place of one of 0 facts, found 1"):
        FactReader(b"").fact(1)
