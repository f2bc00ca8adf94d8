"""What a message of the log comes to in the words of the engine, and what a request may hold."""

from datetime import date

import pytest

from coterie.log.v1.facts_pb2 import Fact
from coterie.log.v1.inbound_pb2 import InboundPack
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1.segmentation_service_pb2 import CreateAudienceRequest
from coterie.type.v1.value_pb2 import Value
from segcore import Item
from services.kit.errors import InvalidArgument
from services.segmentation import wire
from services.segmentation.domain import CatalogFacts, Definition

CATALOG = {"S1": CatalogFacts("shoes", "Acme", 10.0)}


def view(**properties: Value) -> Fact:
    fact = Fact(received_ms=1_000)
    fact.event.event_id = "e1"
    fact.event.type = "product_view"
    for name, value in properties.items():
        fact.event.properties[name].CopyFrom(value)
    return fact


def test_a_bare_sku_is_a_line_with_what_the_event_says_and_else_the_catalog() -> None:
    said = view(sku=Value(text="S1"), category=Value(text="dresses"), price=Value(number=7.5))
    assert wire.event_of(said, CATALOG).items == (Item("S1", "dresses", "Acme", 7.5, 1.0),)
    bare = view(sku=Value(text="S1"), brand=Value(flag=True), price=Value(text="cheap"))
    assert wire.event_of(bare, CATALOG).items == (Item("S1", "shoes", "Acme", 10.0, 1.0),)


def test_values_are_what_a_history_has() -> None:
    said = view(
        born=Value(date={"year": 1992, "month": 2, "day": 29}),
        tags=Value(texts={"values": ["b", "a"]}),
        none=Value(texts={}),
    )
    properties = wire.event_of(said, CATALOG).properties
    assert properties == {"born": date(1992, 2, 29), "tags": ("b", "a"), "none": ()}


def test_only_what_belongs_to_something_has_an_id_with_dots() -> None:
    wanted = audience_pb2.Audience(display_name="A", rule="true", owner="journeys/w/versions/1")
    request = CreateAudienceRequest(audience_id="w.v1.exit", audience=wanted)
    new = wire.parse_new(request)
    assert (new.audience_id, new.owner) == ("w.v1.exit", "journeys/w/versions/1")
    definition = Definition(new.audience_id, 1, "A", "true", "", 5, "i1", owner=new.owner)
    pack = InboundPack.FromString(wire.proposal(definition))
    fact = Fact(audience_proposal=pack.inputs[0].audience_proposal)
    assert wire.definition_of(fact).owner == "journeys/w/versions/1"
    request.audience.owner = ""
    with pytest.raises(InvalidArgument, match="audience_id: expected 1 to 64"):
        wire.parse_new(request)
    request.audience.owner = "a word"
    with pytest.raises(InvalidArgument, match=r"audience\.owner: expected a resource name"):
        wire.parse_new(request)


def test_a_request_id_is_a_uuid() -> None:
    wanted = audience_pb2.Audience(display_name="A", rule="true")
    request = CreateAudienceRequest(audience_id="a", audience=wanted, request_id="x" * 1_000)
    with pytest.raises(InvalidArgument, match="request_id: expected a UUID"):
        wire.parse_new(request)
