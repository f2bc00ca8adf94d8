"""Inputs and facts in one line each, for the tests of profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from coterie.log.v1 import facts_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, schema_pb2, value_pb2
from services.kit.log.port import Record
from services.kit.rpc.dates import date_message

T0 = 1_700_000_000_000
EMAIL = change_pb2.CHANNEL_EMAIL
SMS = change_pb2.CHANNEL_SMS
PUSH = change_pb2.CHANNEL_PUSH
IN = change_pb2.CONSENT_STATUS_IN
OUT = change_pb2.CONSENT_STATUS_OUT


def stamp(time_ms: int) -> Timestamp:
    return Timestamp(seconds=time_ms // 1000, nanos=time_ms % 1000 * 1_000_000)


def identity(text: str) -> identity_pb2.Identity:
    namespace, _, value = text.partition(":")
    return identity_pb2.Identity(namespace=namespace, value=value)


def value(plain: object) -> value_pb2.Value:  # noqa: PLR0911 - one arm a kind
    match plain:
        case None:
            return value_pb2.Value()
        case bool():
            return value_pb2.Value(flag=plain)
        case int():
            return value_pb2.Value(time=stamp(plain))
        case float():
            return value_pb2.Value(number=plain)
        case str():
            return value_pb2.Value(text=plain)
        case date():
            return value_pb2.Value(date=date_message(plain))
        case tuple():
            return value_pb2.Value(texts=value_pb2.Texts(values=plain))
    raise TypeError(type(plain))


def event(
    event_id: str = "e-1",
    who: Iterable[str] = ("crm:ada",),
    properties: Mapping[str, object] | None = None,
    **fields: Any,
) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=event_id,
        **{"type": "purchase", **fields},
        identities=[identity(one) for one in who],
        properties={name: value(plain) for name, plain in (properties or {}).items()},
    )


def attributes(
    values: Mapping[str, object], as_of: int | None = None, who: Iterable[str] = ("crm:ada",)
) -> change_pb2.AttributeChange:
    return change_pb2.AttributeChange(
        identities=[identity(one) for one in who],
        attributes={name: value(plain) for name, plain in values.items()},
        as_of_time=None if as_of is None else stamp(as_of),
    )


def consent(
    said: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
    preferred: Any = 0,
    as_of: int | None = None,
    who: Iterable[str] = ("crm:ada",),
) -> change_pb2.ConsentChange:
    pairs = said.items() if isinstance(said, Mapping) else said
    return change_pb2.ConsentChange(
        identities=[identity(one) for one in who],
        consents=[change_pb2.ChannelConsent(channel=c, status=s) for c, s in pairs],
        preferred_channel=preferred,
        as_of_time=None if as_of is None else stamp(as_of),
    )


def input_of(
    body: event_pb2.Event
    | change_pb2.AttributeChange
    | change_pb2.ConsentChange
    | change_pb2.CatalogItem,
    change_id: str = "",
    received: int | None = None,
) -> pb.IngestInput:
    made = pb.IngestInput(received_time=None if received is None else stamp(received))
    match body:
        case event_pb2.Event():
            made.event.CopyFrom(body)
        case change_pb2.AttributeChange():
            made.attributes.CopyFrom(pb.AttributesInput(change_id=change_id, change=body))
        case change_pb2.ConsentChange():
            made.consent.CopyFrom(pb.ConsentInput(change_id=change_id, change=body))
        case change_pb2.CatalogItem():
            made.catalog_item.CopyFrom(pb.CatalogInput(change_id=change_id, item=body))
    return made


def schema(
    attributes: Mapping[str, Any] | None = None,
    event_types: Mapping[str, Mapping[str, Any]] | None = None,
) -> schema_pb2.Schema:
    return schema_pb2.Schema(
        attributes=[
            schema_pb2.FieldSchema(name=name, kind=kind)
            for name, kind in (attributes or {}).items()
        ],
        event_types=[
            schema_pb2.EventTypeSchema(
                type=type_,
                properties=[
                    schema_pb2.FieldSchema(name=name, kind=kind) for name, kind in fields.items()
                ],
            )
            for type_, fields in (event_types or {}).items()
        ],
    )


def fact(profile_id: int, body: Any, at_ms: int = T0, input_id: str = "i") -> facts_pb2.Fact:
    """Return a fact; a text is an identifier given to the profile, a number one merged into it."""
    made = facts_pb2.Fact(
        profile_id=profile_id, log_time_ms=at_ms, received_ms=at_ms, input_id=input_id
    )
    match body:
        case str():
            made.identity_assigned.identity.CopyFrom(identity(body))
        case int():
            made.profiles_merged.merged_profile_id = body
        case event_pb2.Event():
            made.event.CopyFrom(body)
        case change_pb2.AttributeChange():
            made.attributes.CopyFrom(body)
        case change_pb2.ConsentChange():
            made.consent.CopyFrom(body)
        case change_pb2.CatalogItem():
            made.catalog_item.CopyFrom(body)
        case schema_pb2.Schema():
            made.schema.CopyFrom(body)
        case _:
            raise TypeError(type(body))
    return made


def record(
    seq: int,
    facts: Iterable[facts_pb2.Fact],
    inbound_seq: int | None = None,
    waiting_seq: int = 0,
) -> Record:
    """Return a facts record in which each fact comes from an input of its own."""
    pack = facts_pb2.FactPack(inbound_seq=inbound_seq or seq, waiting_seq=waiting_seq)
    for index, one in enumerate(facts):
        pack.facts.add().CopyFrom(one)
        pack.facts[-1].index = index
    return Record(seq, pack.SerializeToString(), pack.inbound_seq)
