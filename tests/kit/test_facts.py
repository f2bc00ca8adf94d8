"""A record of facts is read no further than it has to be."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.heads_pb2 import EventHead, FactHead, FactPackHead, FactPackSummary, InboundHead
from coterie.log.v1.inbound_pb2 import Inbound
from coterie.type.v1.event_pb2 import Event
from services.kit.facts import FactRecord, body_numbers
from tests.kit.fact_contents import describe_contents

CONSENT = body_numbers(["consent"])


def pack(*, described: bool) -> FactPack:
    made = FactPack(inbound_seq=7, waiting_seq=5)
    made.facts.add(log_time_ms=11, event=Event(event_id="e", type="view"))
    made.facts.add(log_time_ms=12).tick.SetInParent()
    if described:
        describe_contents(made)
    return made


def test_a_pack_that_says_what_is_in_it_holds_that_alone() -> None:
    record = FactRecord(pack(described=True).SerializeToString())

    assert not record.may_hold(CONSENT, {"order"})
    assert record.may_hold(CONSENT, {"order", "view"})
    assert record.may_hold(body_numbers(["consent", "tick"]), ())


def test_a_pack_that_does_not_say_what_is_in_it_may_hold_anything() -> None:
    assert FactRecord(pack(described=False).SerializeToString()).may_hold(CONSENT, ())


@pytest.mark.parametrize("described", [True, False])
def test_what_is_said_of_a_pack_is_what_its_facts_say(*, described: bool) -> None:
    made = pack(described=described)

    record = FactRecord(made.SerializeToString())

    assert record.inbound_seq == 7
    assert record.settled_seq == 4
    assert record.log_time_ms == 12
    assert list(record.facts) == list(made.facts)


def test_an_empty_pack_has_no_time_and_waits_for_nothing() -> None:
    record = FactRecord(FactPack(inbound_seq=7).SerializeToString())

    assert (record.log_time_ms, record.settled_seq) == (0, 7)


def test_a_damaged_pack_is_refused() -> None:
    with pytest.raises(DecodeError):
        FactRecord(b"\x12\xff")


@pytest.mark.parametrize(
    ("head", "whole"),
    [
        (FactPackHead, FactPack),
        (FactPackSummary, FactPack),
        (FactHead, Fact),
        (InboundHead, Inbound),
        (EventHead, Event),
    ],
)
def test_a_head_has_the_numbers_of_what_it_is_the_head_of(head: type, whole: type) -> None:
    numbers = {field.name: field.number for field in whole.DESCRIPTOR.fields}  # type: ignore[attr-defined]
    mine = {field.name: field.number for field in head.DESCRIPTOR.fields}  # type: ignore[attr-defined]

    assert mine.items() <= numbers.items()
    if head in (FactHead, InboundHead):
        assert mine == numbers
