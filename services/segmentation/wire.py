"""Protobuf to domain and back: the only reader of message fields here."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from coterie.log.v1 import facts_pb2, inbound_pb2, transitions_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as service_pb2
from coterie.type.v1 import event_pb2, schema_pb2, value_pb2
from segcore import Event, Item, PropertyValue
from services.kit.errors import DomainError
from services.kit.ids import parse_request_id, profile_id
from services.kit.names import audience_name, check_id, check_owned_id, check_owner
from services.kit.rpc.dates import date_of
from services.kit.rpc.times import timestamp
from services.kit.rules.vocabulary import Vocabulary, check_extension, from_schema
from services.segmentation import domain
from services.segmentation.domain import CatalogFacts, Cause, Definition
from services.segmentation.partition import Transition

_CAUSES = {cause: audience_pb2.Cause.Value(f"CAUSE_{cause.name}") for cause in Cause}
_STATES = {
    domain.State.BACKFILLING: audience_pb2.AUDIENCE_STATE_BACKFILLING,
    domain.State.ACTIVE: audience_pb2.AUDIENCE_STATE_ACTIVE,
}


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
    came_with = f"{fact.came_with.namespace}:{fact.came_with.value}"
    return Event(event.event_id, event.type, occurred_ms, received_ms, came_with, properties, items)


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
    )


def proposal(new: domain.NewAudience, rule_json: str, input_id: str, now_ms: int) -> bytes:
    """Return the inbound pack that proposes a new audience."""
    pack = inbound_pb2.InboundPack()
    one = pack.inputs.add(input_id=input_id, received_ms=now_ms)
    one.audience_proposal.audience_id = new.audience_id
    one.audience_proposal.version = 1
    one.audience_proposal.display_name = new.display_name
    one.audience_proposal.rule_text = new.rule_text
    one.audience_proposal.rule_json = rule_json
    one.audience_proposal.owner = new.owner
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
            cause=_CAUSES[each.cause],  # the log's enum has the same numbers as the API's
            cause_id=each.cause_id,
            facts_seq=pack.facts_seq,
            traceparent=traceparent,
            profile_id=profile_id(partition, each.ordinal) if each.ordinal else 0,
            sequence=each.sequence,
            profile_ordinals=each.entrants,
            index=index,
        )


def render_transition(one: transitions_pb2.Transition, person: int) -> audience_pb2.Transition:
    """Return a transition of the log as the API shows it, for one person."""
    return audience_pb2.Transition(
        audience=audience_name(one.audience_id),
        version=one.version,
        profile_id=person,
        entered=one.change == transitions_pb2.CHANGE_ENTERED,
        time=timestamp(one.at_ms),
        cause=audience_pb2.Cause.ValueType(one.cause),
        cause_id=one.cause_id,
        sequence=one.sequence,
    )


def render_audience(audience: domain.Audience) -> audience_pb2.Audience:
    """Return an audience as the API shows it."""
    definition = audience.definition
    rendered = audience_pb2.Audience(
        name=audience_name(definition.audience_id),
        display_name=definition.display_name,
        rule=definition.rule_text,
        version=definition.version,
        state=_STATES[definition.state],
        build_progress=audience.build_progress,
        member_count=audience.member_count,
        create_time=timestamp(definition.create_ms),
        owner=definition.owner,
    )
    if definition.state is domain.State.ACTIVE:
        rendered.activate_time.CopyFrom(timestamp(definition.activate_ms))
    return rendered


def render_membership(membership: domain.Membership) -> audience_pb2.Membership:
    """Return a membership as the API shows it."""
    rendered = audience_pb2.Membership(
        audience=audience_name(membership.audience_id),
        profile_id=membership.profile_id,
        member=membership.member,
    )
    change = membership.change
    if change is not None:
        rendered.cause = _CAUSES[change.cause]
        rendered.cause_id = change.cause_id
        rendered.version = change.version
        if change.enter_ms:
            rendered.enter_time.CopyFrom(timestamp(change.enter_ms))
        if change.exit_ms:
            rendered.exit_time.CopyFrom(timestamp(change.exit_ms))
    return rendered


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
