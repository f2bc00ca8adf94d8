"""Facts from their bytes: the same rows as Python makes, and malformed bytes say where."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.log.v1 import facts_pb2
from segcore._batch import Batch
from segcore._catalog import Catalog
from segcore._decode import MalformedBytes, PackReader
from segcore._texts import Texts
from tests.fuzz import decoding

MISSING = -(2**63)


class World:
    """A decoder with a catalog of its own."""

    def __init__(self) -> None:
        texts = Texts()
        self.catalog = Catalog(texts)
        self.batch = Batch(texts)

    def read(self, pack: facts_pb2.FactPack | bytes) -> list[dict[str, Any]]:
        """Return the rows of a pack that is nothing but plain events."""
        payload = pack if isinstance(pack, bytes) else pack.SerializeToString()
        reader = PackReader(payload)
        reader.read_events(self.batch, self.catalog)
        assert reader.done
        return self.batch.to_rows()

    def refusal(self, payload: bytes) -> MalformedBytes:
        with pytest.raises(MalformedBytes) as found:
            self.read(payload)
        return found.value


def _event(pack: facts_pb2.FactPack, index: int = 0, person: int = 7) -> facts_pb2.Fact:
    fact = pack.facts.add(index=index, log_time_ms=5, received_ms=1000, profile_id=person)
    fact.came_with.namespace, fact.came_with.value = "crm", "4711"
    fact.event.event_id, fact.event.type = f"event-{index}", "purchase"
    return fact


def _wrapped(*fields: bytes) -> bytes:
    """Return a pack of one fact whose event has these fields, each below 128 bytes in all."""
    content = b"".join(fields)
    body = b"R" + bytes([len(content)]) + content
    fact = b"\x20\x07" + body
    return b"\x12" + bytes([len(fact)]) + fact


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_pack_whole_moved_or_broken_is_to_the_kernel_what_it_is_to_python(seed: int) -> None:
    decoding.run(packs=6, changes=4, seed=seed)


@settings(max_examples=200, deadline=None)
@given(payload=st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_or_read_as_python_does(payload: bytes) -> None:
    decoding.check(payload)


def test_an_event_is_read_with_all_that_it_has() -> None:
    world = World()
    world.catalog.put("shoe", "boots", "Acme", 59.5)
    pack = facts_pb2.FactPack(inbound_seq=9, waiting_seq=3)
    fact = _event(pack)
    fact.traceparent = "00-abc-def-01"
    fact.event.occurred_time.FromMilliseconds(999)
    fact.event.properties["total"].number = 0.0000025
    fact.event.properties["day"].date.year = 2024
    fact.event.properties["day"].date.month = 2
    fact.event.properties["day"].date.day = 29
    fact.event.properties["tags"].texts.values.extend(["a", "bé"])
    fact.event.items.add(sku="shoe", quantity=2)
    fact.event.items.add(sku="sock", brand="Other", price=3)
    [row] = world.read(pack)
    leap_day = dt.date(2024, 2, 29) - dt.date(1970, 1, 1)
    assert row == {
        "ordinal": 7,
        "index": 0,
        "type": "purchase",
        "came_with": "crm:4711",
        "occurred_ms": 999,
        "received_ms": 1000,
        "log_ms": 5,
        "event_id": "event-0",
        "traceparent": "00-abc-def-01",
        "properties": {"total": (0, 2), "day": (4, leap_day.days), "tags": (5, "a\x1fbé\x1f")},
        "items": [
            ("shoe", "boots", "Acme", 59_500_000, 2_000_000),
            ("sock", None, "Other", 3_000_000, 1_000_000),
        ],
    }


def test_a_bare_sku_is_one_line_completed_from_the_catalog() -> None:
    world = World()
    world.catalog.put("shoe", "boots", "", 59.5)
    pack = facts_pb2.FactPack()
    properties = _event(pack).event.properties
    properties["sku"].text = "shoe"
    properties["category"].text = ""
    properties["brand"].number = 4
    properties["price"].number = 7
    [row] = world.read(pack)
    assert row["items"] == [("shoe", "boots", None, 7_000_000, 1_000_000)]


def test_a_catalog_keeps_what_was_said_last_of_many_items() -> None:
    world = World()
    for round_ in range(2):
        for number in range(500):
            world.catalog.put(f"sku-{number}", f"{round_}", None, None)
    pack = facts_pb2.FactPack()
    items = _event(pack).event.items
    for number in range(500):
        items.add(sku=f"sku-{number}")
    assert len(world.catalog) == 500
    assert {item[1:4] for item in world.read(pack)[0]["items"]} == {("1", None, MISSING)}


def test_of_a_property_that_comes_twice_the_last_value_counts_and_an_empty_one_is_none() -> None:
    number = b"\x3a\x0f\x0a\x02no\x12\x09\x11\x00\x00\x00\x00\x00\x00\xf0\x3f"
    text = b"\x3a\x08\x12\x02\x0a\x00\x0a\x02no"
    empty = b"\x3a\x06\x0a\x02no\x12\x00"
    assert World().read(_wrapped(number, text))[0]["properties"] == {"no": (1, "")}
    assert World().read(_wrapped(text, number))[0]["properties"] == {"no": (0, 1_000_000)}
    assert World().read(_wrapped(number, empty))[0]["properties"] == {}


def test_who_gets_an_identifier_by_an_event_does_not_part_the_run() -> None:
    pack = facts_pb2.FactPack()
    for index in range(3):
        named = pack.facts.add(index=index, profile_id=7)
        named.identity_assigned.identity.namespace = "crm"
        _event(pack, index)
    reader = PackReader(pack.SerializeToString())
    world = World()
    assert reader.read_events(world.batch, world.catalog) == 3
    assert reader.done
    assert reader.others() == []


def test_what_is_no_plain_event_is_given_back_by_input_between_the_runs() -> None:
    pack = facts_pb2.FactPack(inbound_seq=4, waiting_seq=2)
    _event(pack, 0)
    pack.facts.add(index=1).tick.SetInParent()
    merged = pack.facts.add(index=2, profile_id=7)
    merged.profiles_merged.merged_profile_id = 8
    _event(pack, 2)
    _event(pack, 3, person=0)
    _event(pack, 4).event.type = "zero\0"
    _event(pack, 5)
    payload = pack.SerializeToString()
    reader = PackReader(payload)
    world = World()
    assert (reader.inbound_seq, reader.waiting_seq, len(reader)) == (4, 2, 7)
    assert reader.read_events(world.batch, world.catalog) == 1
    given_back = [
        [facts_pb2.Fact.FromString(payload[start:end]) for start, end in places]
        for places in reader.others()
    ]
    assert given_back == [pack.facts[1:2], pack.facts[2:4], pack.facts[4:5]]
    assert reader.read_events(world.batch, world.catalog) == 0
    assert len(reader.others()) == 1
    assert reader.read_events(world.batch, world.catalog) == 1
    assert world.batch.to_rows()[0]["event_id"] == "event-5"
    assert reader.done


@pytest.mark.parametrize(
    ("fields", "path", "offset"),
    [
        ([b"\x12\x02\xff\xfe"], "facts[0].event.type", 8),
        ([b"\x12\x7f"], "facts[0].event.type", 7),
        ([b"\x32\x02\x0a\x05"], "facts[0].event.items[0].sku", 9),
        ([b"\x32\x00", b"\x32\x03\x19\x00\x00"], "facts[0].event.items[1].price", 11),
        ([b"\x3a\x04\x12\x02\x22\x01"], "facts[0].event.properties.value.time", 11),
        ([b"\x2a\x01\x08"], "facts[0].event.occurred_time", 9),
        ([b"\x1a\x03\x12\x01\x80"], "facts[0].event.identities[0].value", 10),
        ([b"\x0f"], "facts[0].event", 6),
        ([b"\x00\x01"], "facts[0].event", 6),
        ([b"\x5c"], "facts[0].event", 7),
        ([b"\x5b\x08\x01"], "facts[0].event", 9),
        ([b"\x48" + b"\x80" * 10 + b"\x01"], "facts[0].event", 7),
        ([b"\x88\x80\x80\x80\x80\x00\x01"], "facts[0].event", 6),
    ],
)
def test_malformed_bytes_say_where(fields: list[bytes], path: str, offset: int) -> None:
    refusal = World().refusal(_wrapped(*fields))
    assert (refusal.path, refusal.offset) == (path, offset)
    assert "expected" in str(refusal)


def test_a_pack_cut_short_anywhere_is_refused_or_whole() -> None:
    pack = facts_pb2.FactPack(inbound_seq=1)
    _event(pack).event.items.add(sku="shoe", price=3)
    payload = pack.SerializeToString()
    refused = [cut for cut in range(len(payload)) if decoding.decode(payload[:cut]) is None]
    assert refused == [1, *range(3, len(payload))]


@pytest.mark.parametrize("tail", [b"", bytes(40)], ids=["at the end", "before the end"])
def test_texts_of_any_length_are_the_same_wherever_they_lie(tail: bytes) -> None:
    for length in range(40):
        for place in range(length):
            for odd in (b"a", b"\x00", b"\x7f", b"\x80", b"\xff", "é".encode(), "€".encode()):
                text = (b"0123456789" * 5)[:place] + odd + b"z" * (length - place - len(odd))
                pack = facts_pb2.FactPack()
                _event(pack).event.items.add(sku="S", brand="?" * len(text))
                payload = pack.SerializeToString().replace(b"?" * len(text), text)
                decoding.check(payload + (b"\x7a\x28" + tail if tail else b""))


def test_texts_that_differ_in_one_byte_or_in_length_have_ids_of_their_own() -> None:
    texts = {bytes([65 + place]) * length for length in range(40) for place in range(2)}
    texts |= {b"A" * place + b"B" + b"A" * (30 - place) for place in range(31)}
    pack = facts_pb2.FactPack()
    for index, text in enumerate(sorted(texts) * 2):
        _event(pack, index).event.properties["p"].text = text.decode()
    payload = pack.SerializeToString()
    assert decoding.check(payload, whole=True) == "plain"
    batch = Batch(Texts())
    PackReader(payload).read_events(batch, Catalog(batch.texts))
    assert len(batch.texts) >= len(texts)


@pytest.mark.parametrize("inner", [b"\x00\x05", b"\x02\x01a", b"\x03\x04", b"\x06", b"\x03"])
def test_of_a_group_nobody_knows_the_kernel_takes_what_python_takes(inner: bytes) -> None:
    pack = facts_pb2.FactPack()
    _event(pack)
    fact = pack.facts[0].SerializeToString() + b"\x0b" + inner + b"\x0c"
    decoding.check(b"\x12" + bytes([len(fact)]) + fact)


def test_a_group_nobody_knows_may_be_deep_and_not_bottomless() -> None:
    def nested(depth: int) -> bytes:
        return _wrapped(b"\x4b" * depth + b"\x4c" * depth)

    assert len(World().read(nested(40))) == 1
    with pytest.raises(MalformedBytes, match="group"):
        PackReader(b"\x4b" * 100_000)


def test_a_catalog_of_other_texts_is_refused() -> None:
    world = World()
    with pytest.raises(ValueError, match="texts"):
        PackReader(b"").read_events(world.batch, Catalog(Texts()))


def test_a_price_beyond_the_limit_is_not_kept() -> None:
    with pytest.raises(ValueError, match="expected a number"):
        Catalog(Texts()).put("shoe", None, None, 9.1e9)
