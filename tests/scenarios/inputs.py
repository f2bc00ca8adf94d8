"""Turns inputs of a timeline into what the profile service takes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, value_pb2
from tests.scenarios.faults import ScenarioError
from tests.scenarios.scenario import Definition, Input
from tests.scenarios.times import instant_ms
from tests.scenarios.words import CHANNELS, STATUSES

Plain = str | float | bool

_OWN = ("id", "type", "ids", "primary", "time", "signals", "touch", "items", "note")
"""Keys of an event that are no properties."""


def stamp(at_ms: int) -> Timestamp:
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def identities(ids: Mapping[str, str]) -> list[identity_pb2.Identity]:
    return [identity_pb2.Identity(namespace=n, value=v) for n, v in ids.items()]


def who(ids: Mapping[str, str]) -> identity_pb2.Who:
    """Return the person that has the first of these identifiers."""
    return identity_pb2.Who(identity=identities(ids)[0])


def properties(body: Definition) -> dict[str, Plain]:
    """Return the event's properties by name; a touch is told by its channel and campaign."""
    named = {name: value for name, value in body.items() if name not in _OWN}
    named |= {f"touch_{name}": value for name, value in body.get("touch", {}).items()}
    for name, value in named.items():
        if not isinstance(value, str | int | float):
            raise ScenarioError(f"{name}: expected a text, a number or a flag, found {value!r}")
    return named


def event_types(body: Definition) -> tuple[str, ...]:
    """Return each type that the event counts as, its own first."""
    signals = [kind for kind, times in body.get("signals", {}).items() if times >= 1]
    return tuple(dict.fromkeys([body["type"], *signals]))


def event_id(body: Definition, kind: str) -> str:
    """Return the id of the event as one of its types."""
    own = str(body["id"])
    return own if kind == body["type"] else f"{own}#{kind}"


@dataclass
class Intake:
    """Makes inputs, one timeline each: it knows the catalog so far, and the ids of the events."""

    catalog: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def inputs(self, arrival: Input) -> list[pb.IngestInput]:
        """Return what is sent for an arrival: several events where one gives several signals."""
        try:
            made = list(self._made(arrival))
        except (ScenarioError, ValueError, TypeError) as error:
            raise ScenarioError(f"{arrival.place}: {error}") from None
        for each in made:
            each.received_time.CopyFrom(stamp(arrival.at_ms))
        return made

    def item(self, sku: str, changes: Mapping[str, Any]) -> pb.IngestInput:
        """Return the item whole, as the changes leave it."""
        known = self.catalog.setdefault(sku, {})
        known |= changes
        return pb.IngestInput(catalog_item=pb.CatalogInput(item=_item(sku, known)))

    def _made(self, arrival: Input) -> Iterator[pb.IngestInput]:
        body = arrival.body
        if arrival.kind == "event":
            yield from self._events(body)
        elif arrival.kind == "profile":
            yield pb.IngestInput(attributes=pb.AttributesInput(change=_attributes(body)))
        elif arrival.kind == "consent":
            yield pb.IngestInput(consent=pb.ConsentInput(change=_consent(body)))
        elif arrival.kind == "catalog":
            yield self.item(body["sku"], body["set"])

    def _events(self, body: Definition) -> Iterator[pb.IngestInput]:
        repeated = str(body["id"]) in self.seen
        self.seen.add(str(body["id"]))
        kinds = event_types(body)
        for kind in kinds[:1] if repeated else kinds:
            yield pb.IngestInput(event=_event(body, kind))


def _event(body: Definition, kind: str) -> event_pb2.Event:
    made = event_pb2.Event(
        event_id=event_id(body, kind),
        type=kind,
        identities=identities(body["ids"]),
        primary_namespace=body.get("primary", ""),
        items=[_line(line) for line in _lines(body)],
        properties={name: value(plain) for name, plain in properties(body).items()},
    )
    if "time" in body:
        made.occurred_time.CopyFrom(stamp(instant_ms(body["time"])))
    return made


def _lines(body: Definition) -> list[Definition]:
    """Return the event's lines; a bare SKU is one only where the event says more of it."""
    if "items" in body:
        return list(body["items"])
    return [body] if "sku" in body and ("qty" in body or "price" in body) else []


def _line(line: Definition) -> event_pb2.LineItem:
    made = event_pb2.LineItem(sku=line["sku"])
    if "qty" in line:
        made.quantity = line["qty"]
    if "price" in line:
        made.price = line["price"]
    return made


def _attributes(body: Definition) -> change_pb2.AttributeChange:
    made = change_pb2.AttributeChange(
        identities=identities(body["ids"]),
        attributes={name: value(plain) for name, plain in body["set"].items()},
    )
    if "as_of" in body:
        made.as_of_time.CopyFrom(stamp(instant_ms(body["as_of"])))
    return made


def _consent(body: Definition) -> change_pb2.ConsentChange:
    made = change_pb2.ConsentChange(identities=identities(body["ids"]))
    for name, channel in CHANNELS.items():
        if name in body:
            made.consents.add(channel=channel, status=STATUSES[body[name]])
    if "preferred" in body:
        made.preferred_channel = CHANNELS[body["preferred"]]
    if "as_of" in body:
        made.as_of_time.CopyFrom(stamp(instant_ms(body["as_of"])))
    return made


def _item(sku: str, known: Mapping[str, Any]) -> change_pb2.CatalogItem:
    """Return the item; what the catalog has no field for, such as a badge, is left out."""
    made = change_pb2.CatalogItem(
        sku=sku,
        name=known.get("name") or "",
        category=known.get("category") or "",
        brand=known.get("brand") or "",
        image_url=known.get("image") or "",
        tags=known.get("tags") or (),
        description=known.get("description") or "",
    )
    for name in ("price", "stock"):
        if known.get(name) is not None:
            setattr(made, name, known[name])
    return made


def value(plain: Plain | None) -> value_pb2.Value:
    """Return the value; None clears."""
    if plain is None:
        return value_pb2.Value()
    if isinstance(plain, bool):
        return value_pb2.Value(flag=plain)
    if isinstance(plain, str):
        return value_pb2.Value(text=plain)
    return value_pb2.Value(number=plain)


def plain(found: value_pb2.Value) -> Plain | None:
    """Return what a value holds, None where it is empty."""
    kind = found.WhichOneof("kind")
    if kind == "time":
        return str(found.time.ToJsonString())
    return None if kind is None else getattr(found, kind)
