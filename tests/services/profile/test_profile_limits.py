"""Each limit of the API, at it and just beyond it; and that no error repeats what was sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from profile_inputs import EMAIL, IN, T0, attributes, consent, event, identity, stamp, value

from coterie.type.v1 import change_pb2, event_pb2, schema_pb2, value_pb2
from segcore.rule import NUMBER_LIMIT, Kind
from services.kit.errors import InvalidArgument
from services.profile import checks, limits
from services.profile.checks import DeclaredKinds

DAY = 24 * 3600 * 1000
PERSONAL = "ada@example.org"
Item = event_pb2.LineItem
Text = dict[str, object]


def _many(count: int) -> Mapping[str, object]:
    return {f"p{n}": True for n in range(count)}


def _people(count: int) -> list[str]:
    return [f"crm:{n}" for n in range(count)]


GOOD_EVENTS: dict[str, event_pb2.Event] = {
    "plain": event(),
    "longest id": event("x" * 128),
    "longest type": event(type="a" * 64),
    "all characters of a type": event(type="store_entry-2.x"),
    "most identifiers": event(who=_people(16)),
    "longest identifier": event(who=["crm:" + "é" * 256]),
    "primary": event(who=["crm:1", "ecid:2"], primary_namespace="ecid"),
    "a day ahead": event(occurred_time=stamp(T0 + DAY)),
    "long ago": event(occurred_time=Timestamp(seconds=-62135596800)),
    "most items": event(items=[Item(sku="s")] * 500),
    "longest sku": event(items=[Item(sku="s" * 128, category="c" * 128, brand="b" * 128)]),
    "returned": event(items=[Item(sku="s", quantity=-2, price=-NUMBER_LIMIT)]),
    "most properties": event(properties=_many(64)),
    "longest text": event(properties={"t": "é" * 1024}),
    "last day": event(properties={"d": date(9999, 12, 31)}),
    "most texts": event(properties={"t": ("é" * 64,) * 64}),
    "longest text of a list": event(properties={"t": ("é" * 256,)}),
    "no texts": event(properties={"t": ()}),
    "greatest number": event(properties={"n": 9e9, "m": -9e9}),
    "time": event(properties={"t": T0 + 400 * DAY}),
    "undeclared name": event(properties={"utm-source": "x"}),
    "as declared": event(properties={"total": 1.0}),
}

BAD_EVENTS: dict[str, tuple[event_pb2.Event, str, str]] = {
    "no id": (event(""), "INVALID_FIELD", "event.event_id"),
    "long id": (event("x" * 129), "INVALID_FIELD", "event.event_id"),
    "zero in id": (event("a\0b"), "INVALID_FIELD", "event.event_id"),
    "no type": (event(type=""), "INVALID_FIELD", "event.type"),
    "long type": (event(type="a" * 65), "INVALID_FIELD", "event.type"),
    "upper case type": (event(type="Purchase"), "INVALID_FIELD", "event.type"),
    "line end in type": (event(type="purchase\n"), "INVALID_FIELD", "event.type"),
    "nobody": (event(who=[]), "NO_IDENTITY", "event.identities"),
    "a crowd": (event(who=_people(17)), "INVALID_FIELD", "event.identities"),
    "no namespace": (event(who=[":1"]), "INVALID_FIELD", "event.identities[0].namespace"),
    "bad namespace": (
        event(who=["crm:1", "E Mail:" + PERSONAL]),
        "INVALID_FIELD",
        "event.identities[1].namespace",
    ),
    "empty identifier": (event(who=["crm:"]), "INVALID_FIELD", "event.identities[0].value"),
    "long identifier": (
        event(who=["crm:" + PERSONAL * 20]),
        "INVALID_FIELD",
        "event.identities[0].value",
    ),
    "zero in identifier": (event(who=["crm:\0"]), "INVALID_FIELD", "event.identities[0].value"),
    "foreign primary": (
        event(primary_namespace="email"),
        "INVALID_FIELD",
        "event.primary_namespace",
    ),
    "future": (
        event(occurred_time=stamp(T0 + DAY + 1)),
        "TIME_IN_FUTURE",
        "event.occurred_time",
    ),
    "negative nanos": (
        event(occurred_time=Timestamp(seconds=1, nanos=-1)),
        "INVALID_FIELD",
        "event.occurred_time",
    ),
    "year 10000": (
        event(occurred_time=Timestamp(seconds=253402300800)),
        "INVALID_FIELD",
        "event.occurred_time",
    ),
    "many items": (event(items=[Item(sku="s")] * 501), "INVALID_FIELD", "event.items"),
    "no sku": (event(items=[Item(sku="s"), Item()]), "INVALID_FIELD", "event.items[1].sku"),
    "long sku": (event(items=[Item(sku="s" * 129)]), "INVALID_FIELD", "event.items[0].sku"),
    "quantity not a number": (
        event(items=[Item(sku="s", quantity=math.nan)]),
        "INVALID_FIELD",
        "event.items[0].quantity",
    ),
    "endless price": (
        event(items=[Item(sku="s", price=math.inf)]),
        "INVALID_FIELD",
        "event.items[0].price",
    ),
    "long brand": (
        event(items=[Item(sku="s", brand="b" * 129)]),
        "INVALID_FIELD",
        "event.items[0].brand",
    ),
    "many properties": (event(properties=_many(65)), "INVALID_FIELD", "event.properties"),
    "long text": (
        event(properties={"note": PERSONAL + "x" * 1024}),
        "INVALID_FIELD",
        "event.properties[note]",
    ),
    "zero in text": (
        event(properties={"note": PERSONAL + "\0"}),
        "INVALID_FIELD",
        "event.properties[note]",
    ),
    "zero in brand": (
        event(items=[Item(sku="s", brand="a\0b")]),
        "INVALID_FIELD",
        "event.items[0].brand",
    ),
    "large number": (event(properties={"n": 9.1e9}), "INVALID_FIELD", "event.properties[n]"),
    "not a number": (event(properties={"n": math.nan}), "INVALID_FIELD", "event.properties[n]"),
    "no value": (event(properties={"n": None}), "INVALID_FIELD", "event.properties[n]"),
    "personal name": (
        event(properties={PERSONAL: None}),
        "INVALID_FIELD",
        "event.properties[...]",
    ),
    "no name": (event(properties={"": 1.0}), "INVALID_FIELD", "event.properties (a name)"),
    "long name": (
        event(properties={"n" * 65: 1.0}),
        "INVALID_FIELD",
        "event.properties (a name)",
    ),
    "invalid time": (
        event_pb2.Event(
            event_id="e",
            type="t",
            identities=[identity("crm:1")],
            properties={"t": {"time": Timestamp(nanos=10**9)}},  # type: ignore[dict-item]
        ),
        "INVALID_FIELD",
        "event.properties[t]",
    ),
    "no such day": (
        event_pb2.Event(
            event_id="e",
            type="t",
            identities=[identity("crm:1")],
            properties={"d": value_pb2.Value(date=value_pb2.Date(year=2023, month=2, day=29))},
        ),
        "INVALID_FIELD",
        "event.properties[d]",
    ),
    "many texts": (event(properties={"t": ("a",) * 65}), "INVALID_FIELD", "event.properties[t]"),
    "long text of a list": (
        event(properties={"t": (PERSONAL * 20,)}),
        "INVALID_FIELD",
        "event.properties[t]",
    ),
    "long list": (
        event(properties={"t": ("a" * 65,) * 64}),
        "INVALID_FIELD",
        "event.properties[t]",
    ),
    "separator in a list": (
        event(properties={"t": ("a", PERSONAL + "\x1f")}),
        "INVALID_FIELD",
        "event.properties[t]",
    ),
    "zero in a list": (
        event(properties={"t": (PERSONAL + "\0",)}),
        "INVALID_FIELD",
        "event.properties[t]",
    ),
    "another kind": (
        event(properties={"total": "12"}),
        "SCHEMA_CONFLICT",
        "event.properties[total]",
    ),
}

DECLARED = DeclaredKinds({"age": Kind.NUMBER}, {"total": Kind.NUMBER})


@pytest.mark.parametrize("name", GOOD_EVENTS)
def test_an_event_within_the_limits_is_taken(name: str) -> None:
    checks.check_event(GOOD_EVENTS[name], T0, DECLARED)


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_an_event_beyond_a_limit_is_refused_at_its_place(name: str) -> None:
    wrong, reason, field = BAD_EVENTS[name]
    with pytest.raises(InvalidArgument) as caught:
        checks.check_event(wrong, T0, DECLARED)
    assert (caught.value.reason, caught.value.metadata["field"]) == (reason, field)
    assert PERSONAL not in caught.value.message + str(caught.value.metadata)


CHANGES: dict[str, tuple[Any, str | None]] = {
    "one": (attributes({"tier": "gold"}), None),
    "most": (attributes(_many(128)), None),
    "cleared": (attributes({"tier": None}), None),
    "declared": (attributes({"age": 30.0}), None),
    "cleared though declared": (attributes({"age": None}), None),
    "none": (attributes({}), "change.attributes"),
    "too many": (attributes(_many(129)), "change.attributes"),
    "nobody's": (attributes({"a": True}, who=[]), "change.identities"),
    "another kind": (attributes({"age": "thirty"}), "change.attributes[age]"),
    "long text": (attributes({"a": "x" * 1025}), "change.attributes[a]"),
    "zero in text": (attributes({"a": "x\0"}), "change.attributes[a]"),
    "from the future": (attributes({"a": True}, as_of=T0 + DAY + 1), "change.as_of_time"),
    "consent": (consent({EMAIL: IN}), None),
    "only a preference": (consent(preferred=EMAIL), None),
    "no consent": (consent(), "change.consents"),
    "no channel": (consent({0: IN}), "change.consents[0].channel"),
    "unknown channel": (consent({9: IN}), "change.consents[0].channel"),
    "no status": (consent({EMAIL: 0}), "change.consents[0].status"),
    "unknown preference": (consent(preferred=9), "change.preferred_channel"),
    "too many channels": (consent([(EMAIL, IN)] * 17), "change.consents"),
    "nobody's consent": (consent({EMAIL: IN}, who=[]), "change.identities"),
    "late consent": (consent({EMAIL: IN}, as_of=T0 + DAY + 1), "change.as_of_time"),
    "item": (change_pb2.CatalogItem(sku="s", price=1), None),
    "item without sku": (change_pb2.CatalogItem(name="n"), "item.sku"),
    "item with a long name": (change_pb2.CatalogItem(sku="s", name="n" * 1025), "item.name"),
    "item without a real price": (change_pb2.CatalogItem(sku="s", price=math.nan), "item.price"),
    "item without a real stock": (change_pb2.CatalogItem(sku="s", stock=math.inf), "item.stock"),
    "item with a long picture": (
        change_pb2.CatalogItem(sku="s", image_url="u" * 1025),
        "item.image_url",
    ),
    "item with a zero in its name": (change_pb2.CatalogItem(sku="s", name="\0"), "item.name"),
    "item with many tags": (change_pb2.CatalogItem(sku="s", tags=["t"] * 33), "item.tags"),
    "item with an empty tag": (change_pb2.CatalogItem(sku="s", tags=["t", ""]), "item.tags[1]"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_taken_within_its_limits_alone(name: str) -> None:
    change, field = CHANGES[name]
    if field is None:
        _check_change(change)
        return
    with pytest.raises(InvalidArgument) as caught:
        _check_change(change)
    assert caught.value.metadata["field"] == field


def _check_change(change: Any) -> None:
    match change:
        case change_pb2.AttributeChange():
            checks.check_attributes(change, T0, DECLARED)
        case change_pb2.ConsentChange():
            checks.check_consent(change, T0)
        case change_pb2.CatalogItem():
            checks.check_catalog_item(change)


def test_a_conflict_says_what_is_declared_and_what_was_found() -> None:
    with pytest.raises(InvalidArgument) as caught:
        checks.check_event(event(properties={"total": "12"}), T0, DECLARED)
    found = caught.value.metadata
    assert (found["declared"], found["found"]) == ("number", "text")


def test_a_time_ahead_says_the_limit() -> None:
    with pytest.raises(InvalidArgument) as caught:
        checks.check_event(event(occurred_time=stamp(T0 + 2 * DAY)), T0, DECLARED)
    assert caught.value.metadata["limit_seconds"] == "86400"


def test_the_kinds_of_values_have_the_names_of_segcore() -> None:
    plain = (1.0, 1, True, "x", date(2024, 2, 29), ("a", "b"))
    kinds = {value(each).WhichOneof("kind") for each in plain}
    assert kinds == {str(kind) for kind in Kind} - {Kind.SPAN}


def test_the_largest_event_fits_into_a_record() -> None:
    wide = "\N{PILE OF POO}"
    largest = event(
        wide * 128,
        who=["n" * 64 + ":" + wide * 256] * 16,
        properties={wide * 62 + f"{n:02}": wide * 1024 for n in range(64)},
        items=[Item(sku=wide * 128, category=wide * 128, brand=wide * 128, price=1, quantity=1)]
        * 500,
    )
    checks.check_event(largest, T0, DECLARED)
    assert largest.ByteSize() < limits.PACK_BYTES


def test_an_extension_declares_one_to_a_thousand_fields() -> None:
    fields = [schema_pb2.FieldSchema(name=f"f{n}") for n in range(1001)]
    checks.check_extension_size(schema_pb2.Schema(attributes=fields[:1000]))
    for wrong in (schema_pb2.Schema(), schema_pb2.Schema(attributes=fields)):
        with pytest.raises(InvalidArgument):
            checks.check_extension_size(wrong)
