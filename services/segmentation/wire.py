"""Protobuf to domain and back: the only reader of message fields here."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coterie.log.v1 import facts_pb2, inbound_pb2, transitions_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as service_pb2
from coterie.type.v1 import event_pb2, identity_pb2, schema_pb2, value_pb2
from segcore import Event, Item, PropertyValue
from services.kit.errors import DomainError, invalid_field
from services.kit.ids import parse_request_id, profile_id
from services.kit.names import check_id, check_owned_id, check_owner
from services.kit.rpc.dates import date_of
from services.kit.rules.vocabulary import Vocabulary, check_extension, from_schema
from services.segmentation import domain
from services.segmentation.domain import CatalogFacts, Cause, Definition
from services.segmentation.transitions import Transition

IDENTITY_LIMIT = 256
_NAMESPACE = re.compile(r"[a-z0-9_.-]{1,64}")
_NAMESPACE_FORM = "1 to 64 characters of a-z, 0-9, `_`, `-` and `.`"

CAUSES = {cause: transitions_pb2.Cause.Value(f"CAUSE_{cause.name}") for cause in Cause}


def value_of(value: value_pb2.Value) -> PropertyValue | None:
    """Return the plain value as a history has it; None where none is set."""
    kind = value.WhichOneof("kind")
    match kind:
        case None:
            return None
        case "time":
            return value.time.ToMilliseconds()
        case "date":
            return date_of(value.date)
        case "texts":
            return tuple(value.texts.values)
    plain: PropertyValue = getattr(value, kind)
    return plain


def event_of(fact: facts_pb2.Fact, catalog: Mapping[str, CatalogFacts]) -> Event:
    """Return the event of a fact, its items completed from the catalog of this position."""
    event = fact.event
    received_ms = fact.received_ms
    occurred_ms = received_ms
    if event.HasField("occurred_time"):
        occurred_ms = min(event.occurred_time.ToMilliseconds(), received_ms)
    properties: dict[str, PropertyValue] = {}
    for name, value in event.properties.items():
        plain = value_of(value)
        if plain is not None:
            properties[name] = plain
    items = tuple(_item(line, catalog) for line in event.items)
    sku = properties.get("sku")
    if not items and isinstance(sku, str):
        items = (_item(_bare_line(sku, properties), catalog),)
    came_with = identifier_of(fact.came_with)
    return Event(event.event_id, event.type, occurred_ms, received_ms, came_with, properties, items)


def identifier_of(identity: identity_pb2.Identity) -> str:
    """Return an identifier as histories have it."""
    return f"{identity.namespace}:{identity.value}"


def source_of(fact: facts_pb2.Fact) -> str:
    """Return by which identifier something was said of a person; empty where by none."""
    return identifier_of(fact.came_with) if fact.HasField("came_with") else ""


def _bare_line(sku: str, properties: Mapping[str, PropertyValue]) -> event_pb2.LineItem:
    """Return the line of an event that names its one item among its properties."""
    category, brand, price = map(properties.get, ("category", "brand", "price"))
    return event_pb2.LineItem(
        sku=sku,
        category=category if isinstance(category, str) else "",
        brand=brand if isinstance(brand, str) else "",
        price=price if isinstance(price, float) else None,
    )


_UNKNOWN = CatalogFacts(None, None, None)


def _item(line: event_pb2.LineItem, catalog: Mapping[str, CatalogFacts]) -> Item:
    known = catalog.get(line.sku, _UNKNOWN)
    return Item(
        line.sku,
        line.category or known.category,
        line.brand or known.brand,
        line.price if line.HasField("price") else known.price,
        line.quantity if line.HasField("quantity") else 1.0,
    )


def attributes_of(fact: facts_pb2.Fact) -> tuple[dict[str, PropertyValue | None], int]:
    """Return the new values and the instant at which they are true."""
    change = fact.attributes
    as_of_ms = fact.received_ms
    if change.HasField("as_of_time"):
        as_of_ms = change.as_of_time.ToMilliseconds()
    return {name: value_of(value) for name, value in change.attributes.items()}, as_of_ms


def catalog_of(fact: facts_pb2.Fact) -> tuple[str, CatalogFacts]:
    """Return the SKU and what is known of it from now on."""
    item = fact.catalog_item
    price = item.price if item.HasField("price") else None
    return item.sku, CatalogFacts(item.category or None, item.brand or None, price)


def definition_of(fact: facts_pb2.Fact) -> Definition:
    """Return the definition that a fact proposes."""
    proposal = fact.audience_proposal
    return Definition(
        proposal.audience_id,
        proposal.version,
        proposal.display_name,
        proposal.rule_text,
        proposal.rule_json,
        fact.log_time_ms,
        fact.input_id,
        owner=proposal.owner,
        automatic=proposal.activate_when_built or proposal.version == 1,
        restored_version=proposal.restored_version,
        publication_id=proposal.publication_id,
        published_count=proposal.published_count,
    )


def proposal(definition: Definition) -> bytes:
    """Return the inbound pack that proposes a version."""
    pack = inbound_pb2.InboundPack()
    one = pack.inputs.add(input_id=definition.input_id, received_ms=definition.create_ms)
    proposed = one.audience_proposal
    proposed.audience_id = definition.audience_id
    proposed.version = definition.version
    proposed.display_name = definition.display_name
    proposed.rule_text = definition.rule_text
    proposed.rule_json = definition.rule_json
    proposed.owner = definition.owner
    proposed.activate_when_built = definition.automatic
    proposed.restored_version = definition.restored_version
    proposed.publication_id = definition.publication_id
    proposed.published_count = definition.published_count
    return pack.SerializeToString(deterministic=True)


@dataclass(frozen=True, slots=True)
class PublishedMember:
    """A person whom a publisher names: by one identifier, or by number."""

    profile_id: int
    namespace: str = ""
    value: str = ""


def parse_member(who: identity_pb2.Who, field: str) -> PublishedMember:
    """Return whom a publisher names; raises InvalidArgument for `field`."""
    if who.WhichOneof("person") == "profile_id" and who.profile_id:
        return PublishedMember(who.profile_id)
    identity = who.identity
    if _NAMESPACE.fullmatch(identity.namespace) is None:
        found = "another form" if identity.namespace else "nothing"
        raise invalid_field(f"{field}.identity.namespace", found, _NAMESPACE_FORM)
    if not 0 < len(identity.value) <= IDENTITY_LIMIT or "\0" in identity.value:
        expected = f"1 to {IDENTITY_LIMIT} characters without U+0000"
        raise invalid_field(f"{field}.identity.value", "another text", expected)
    return PublishedMember(0, identity.namespace, identity.value)


def published_members(  # noqa: PLR0913  the parts of the record
    audience_id: str,
    publication_id: str,
    members: Sequence[PublishedMember],
    *,
    member: bool,
    input_id: str,
    now_ms: int,
) -> bytes:
    """Return the pack that says of people whether they are published as members."""
    pack = inbound_pb2.InboundPack()
    for place, each in enumerate(members):
        one = pack.inputs.add(input_id=f"{input_id}/{place}", received_ms=now_ms)
        said = one.audience_member
        said.audience_id, said.publication_id = audience_id, publication_id
        said.member, said.profile_id = member, each.profile_id
        if not each.profile_id:
            said.identities.add(namespace=each.namespace, value=each.value)
    return pack.SerializeToString(deterministic=True)


def deletion(audience_id: str, version: int, now_ms: int) -> bytes:
    """Return the pack that removes an audience; its id is a function of the last version."""
    pack = inbound_pb2.InboundPack()
    one = pack.inputs.add(input_id=f"delete/{audience_id}/{version}", received_ms=now_ms)
    one.audience_deletion.audience_id = audience_id
    return pack.SerializeToString(deterministic=True)


def activation(definition: Definition, now_ms: int) -> bytes:
    """Return the pack that makes a built audience live; its id is a function of that."""
    pack = inbound_pb2.InboundPack()
    input_id = f"activate/{definition.audience_id}/{definition.version}"
    one = pack.inputs.add(input_id=input_id, received_ms=now_ms)
    one.audience_activation.audience_id = definition.audience_id
    one.audience_activation.version = definition.version
    return pack.SerializeToString(deterministic=True)


def add_transitions(
    pack: transitions_pb2.TransitionPack,
    transitions: Iterable[Transition],
    partition: int,
    index: int,
    traceparent: str,
) -> None:
    """Append what the input at `index` changed to a pack whose `facts_seq` is set."""
    for each in transitions:
        pack.transitions.add(
            audience_id=each.audience_id,
            version=each.version,
            change=(
                transitions_pb2.CHANGE_ENTERED if each.entered else transitions_pb2.CHANGE_EXITED
            ),
            at_ms=each.at_ms,
            cause=CAUSES[each.cause],
            cause_id=each.cause_id,
            facts_seq=pack.facts_seq,
            traceparent=traceparent,
            profile_id=profile_id(partition, each.ordinal) if each.ordinal else 0,
            sequence=each.sequence,
            profile_ordinals=each.people,
            index=index,
            witnesses=[logged_witness(row) for row in each.witnesses],
        )


def logged_witness(row: domain.WitnessRow) -> transitions_pb2.TransitionWitness:
    """Return a witness as the log has it."""
    return transitions_pb2.TransitionWitness(
        event_id=row.event_id, type=row.type, occurred_ms=row.occurred_ms, sku=row.sku
    )


@functools.lru_cache(maxsize=8)
def vocabulary(extensions: tuple[bytes, ...], audiences: frozenset[str]) -> Vocabulary:
    """Return what rules may speak of; of two extensions that conflict the first wins."""
    schema = schema_pb2.Schema()
    for content in extensions:
        try:
            schema = check_extension(schema, schema_pb2.Schema.FromString(content))
        except DomainError:
            continue
    return from_schema(schema, audiences)


def parse_new(request: service_pb2.CreateAudienceRequest) -> domain.NewAudience:
    """Return what a caller wants to save; raises InvalidArgument for a wrong field."""
    owner = request.audience.owner
    check = check_owned_id if owner else check_id
    return domain.NewAudience(
        check(request.audience_id, "audience_id"),
        request.audience.display_name,
        request.audience.rule,
        parse_request_id(request.request_id, "request_id"),
        check_owner(owner, "audience.owner") if owner else "",
    )
