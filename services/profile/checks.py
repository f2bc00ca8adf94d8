"""Checks inputs as they come off the wire, each alone and in one pass.

An error names the place, what was expected and what was found, and never repeats a value: it may be
personal. It repeats the name of a field only where a schema could declare it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.timestamp_pb2 import Timestamp

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, schema_pb2, value_pb2
from segcore.rule import NUMBER_LIMIT, Kind
from services.kit.errors import InvalidArgument, invalid_field
from services.kit.rpc.dates import date_of
from services.profile import limits

_FIRST_SECOND = -62_135_596_800
_LAST_SECOND = 253_402_300_799
"""The years 1 to 9999, which is what a Timestamp may hold."""
_NANOS = 1_000_000_000
_TEXT = Kind.TEXT

Identities = RepeatedCompositeFieldContainer[identity_pb2.Identity]


@dataclass(frozen=True, slots=True)
class DeclaredKinds:
    """The kinds that the schema declares, by the name of the attribute or property."""

    attributes: Mapping[str, Kind] = field(default_factory=dict)
    properties: Mapping[str, Kind] = field(default_factory=dict)


def check_event(event: event_pb2.Event, received_ms: int, declared: DeclaredKinds) -> None:
    """Raise InvalidArgument unless the event keeps every limit of `coterie.type.v1.Event`."""
    event_id = event.event_id
    if not 0 < len(event_id) <= limits.ID_LENGTH or "\0" in event_id:
        check_key(event_id, limits.ID_LENGTH, "event.event_id")
    if not limits.is_token(event.type):
        raise _token("event.type", event.type)
    identities = event.identities
    check_identities(identities, "event.identities")
    if event.primary_namespace:
        _check_primary(event.primary_namespace, identities)
    if event.HasField("occurred_time"):
        check_not_ahead(event.occurred_time, received_ms, "event.occurred_time")
    if event.items:
        _check_items(event.items)
    properties = event.properties
    if properties:
        _check_count(len(properties), 0, limits.PROPERTIES, "event.properties")
        kinds = declared.properties
        for name in sorted(properties):  # A map has no order: which mistake is told is the same.
            value = properties[name]
            # Most are declared texts in form: of those no more is asked.
            if kinds.get(name) is _TEXT and value.HasField("text"):
                text = value.text
                if len(text) <= limits.TEXT_LENGTH and "\0" not in text:
                    continue
            _check_field("event.properties", name, value, kinds, clears=False)


def check_attributes(
    change: change_pb2.AttributeChange, received_ms: int, declared: DeclaredKinds
) -> None:
    """Raise InvalidArgument unless the change keeps every limit of its message."""
    check_identities(change.identities, "change.identities")
    attributes = change.attributes
    _check_count(len(attributes), 1, limits.ATTRIBUTES, "change.attributes")
    for name in attributes:
        _check_field("change.attributes", name, attributes[name], declared.attributes, clears=True)
    if change.HasField("as_of_time"):
        check_not_ahead(change.as_of_time, received_ms, "change.as_of_time")


def check_consent(change: change_pb2.ConsentChange, received_ms: int) -> None:
    """Raise InvalidArgument unless the change keeps every limit of its message."""
    check_identities(change.identities, "change.identities")
    _check_count(len(change.consents), 0, limits.CONSENTS, "change.consents")
    for index, said in enumerate(change.consents):
        place = f"change.consents[{index}]"
        _check_enum(said.channel, 1, change_pb2.Channel.values(), f"{place}.channel")
        _check_enum(said.status, 1, change_pb2.ConsentStatus.values(), f"{place}.status")
    preferred = change.preferred_channel
    _check_enum(preferred, 0, change_pb2.Channel.values(), "change.preferred_channel")
    if not change.consents and not preferred:
        raise invalid_field("change.consents", "nothing", "consent or a preferred channel")
    if change.HasField("as_of_time"):
        check_not_ahead(change.as_of_time, received_ms, "change.as_of_time")


def check_catalog_item(item: change_pb2.CatalogItem) -> None:
    """Raise InvalidArgument unless the item keeps every limit of `coterie.type.v1.CatalogItem`."""
    check_key(item.sku, limits.ID_LENGTH, "item.sku")
    _check_text(item.name, 0, limits.TEXT_LENGTH, "item.name")
    _check_labels(item, "item")
    if item.HasField("price"):
        _check_number(item.price, "item.price")
    if item.HasField("stock"):
        _check_number(item.stock, "item.stock")
    _check_text(item.image_url, 0, limits.TEXT_LENGTH, "item.image_url")
    _check_text(item.description, 0, limits.TEXT_LENGTH, "item.description")
    _check_count(len(item.tags), 0, limits.TAGS, "item.tags")
    for index, tag in enumerate(item.tags):
        _check_text(tag, 1, limits.LABEL_LENGTH, f"item.tags[{index}]")


def check_identities(identities: Identities, place: str) -> None:
    """Raise InvalidArgument unless there are 1 to 16 well-formed identifiers."""
    count = len(identities)
    if not count:
        raise InvalidArgument(
            "NO_IDENTITY", f"{place}: expected 1 to 16 identifiers, found none", {"field": place}
        )
    if count > limits.IDENTITIES:
        _check_count(count, 1, limits.IDENTITIES, place)
    for identity in identities:
        value = identity.value
        if (
            not limits.is_token(identity.namespace)
            or not 0 < len(value) <= limits.IDENTITY_LENGTH
            or "\0" in value
        ):
            _explain_identities(identities, place)


def check_identity(identity: identity_pb2.Identity, place: str) -> None:
    """Raise InvalidArgument unless the identifier has the form of `coterie.type.v1.Identity`."""
    if not limits.is_token(identity.namespace):
        raise _token(f"{place}.namespace", identity.namespace)
    check_key(identity.value, limits.IDENTITY_LENGTH, f"{place}.value")


def check_change_id(text: str) -> None:
    """Raise InvalidArgument unless `text` is empty or can be the id of a change."""
    if text:
        check_key(text, limits.ID_LENGTH, "change_id")


def check_key(text: str, most: int, place: str) -> None:
    """Raise InvalidArgument unless `text` can be a key: not empty, and without U+0000."""
    _check_text(text, 1, most, place)


def check_not_ahead(time: Timestamp, received_ms: int, place: str) -> None:
    """Raise InvalidArgument for an invalid time or one more than a day after `received_ms`."""
    if to_ms(time, place) > received_ms + limits.FUTURE_MS:
        seconds = limits.FUTURE_MS // 1000
        raise InvalidArgument(
            "TIME_IN_FUTURE",
            f"{place}: expected a time at most {seconds} s after receipt, found a later one",
            {"field": place, "limit_seconds": str(seconds)},
        )


def to_ms(time: Timestamp, place: str) -> int:
    """Return the time in milliseconds UTC, rounded down; raises InvalidArgument out of range."""
    seconds, nanos = time.seconds, time.nanos
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND or not 0 <= nanos < _NANOS:
        raise invalid_field(place, "another", "a time of the years 1 to 9999")
    return seconds * 1000 + nanos // 1_000_000


def check_extension_size(schema: schema_pb2.Schema) -> None:
    """Raise InvalidArgument unless the extension declares something, at most 1,000 fields."""
    fields = len(schema.attributes) + sum(1 + len(type_.properties) for type_ in schema.event_types)
    _check_count(fields, 1, limits.BATCH_INPUTS, "schema")
    for type_ in schema.event_types:
        _check_text(type_.description, 0, limits.TEXT_LENGTH, "schema.event_types.description")
        for declared in type_.properties:
            _check_text(declared.description, 0, limits.TEXT_LENGTH, "schema.description")
    for declared in schema.attributes:
        _check_text(declared.description, 0, limits.TEXT_LENGTH, "schema.description")


def _check_items(items: RepeatedCompositeFieldContainer[event_pb2.LineItem]) -> None:
    _check_count(len(items), 0, limits.ITEMS, "event.items")
    for index, item in enumerate(items):
        if not 0 < len(item.sku) <= limits.ID_LENGTH or "\0" in item.sku:
            check_key(item.sku, limits.ID_LENGTH, f"event.items[{index}].sku")
        # An unset number reads as 0, which is within the limits.
        if not -NUMBER_LIMIT <= item.quantity <= NUMBER_LIMIT:
            _check_number(item.quantity, f"event.items[{index}].quantity")
        if not -NUMBER_LIMIT <= item.price <= NUMBER_LIMIT:
            _check_number(item.price, f"event.items[{index}].price")
        if item.category or item.brand:
            _check_labels(item, f"event.items[{index}]")


def _check_labels(item: event_pb2.LineItem | change_pb2.CatalogItem, place: str) -> None:
    _check_text(item.category, 0, limits.LABEL_LENGTH, f"{place}.category")
    _check_text(item.brand, 0, limits.LABEL_LENGTH, f"{place}.brand")


def _check_field(
    place: str, name: str, value: value_pb2.Value, declared: Mapping[str, Kind], *, clears: bool
) -> None:
    kind = value.WhichOneof("kind")
    wanted = declared.get(name)
    if wanted is None and (not 0 < len(name) <= limits.NAME_LENGTH or "\0" in name):
        check_key(name, limits.NAME_LENGTH, f"{place} (a name)")
    if kind is None:
        if clears:
            return
        raise invalid_field(_named(place, name), "an empty one", "a value")
    if wanted is not None and wanted != kind:
        raise _conflict(_named(place, name), wanted, kind)
    check = _VALUE_CHECKS.get(kind)
    if check is not None:
        check(value, place, name)


def _check_text_value(value: value_pb2.Value, place: str, name: str) -> None:
    if len(value.text) > limits.TEXT_LENGTH or "\0" in value.text:
        _check_text(value.text, 0, limits.TEXT_LENGTH, _named(place, name))


def _check_number_value(value: value_pb2.Value, place: str, name: str) -> None:
    if not -NUMBER_LIMIT <= value.number <= NUMBER_LIMIT:
        _check_number(value.number, _named(place, name))


def _check_time_value(value: value_pb2.Value, place: str, name: str) -> None:
    to_ms(value.time, _named(place, name))


def _check_date_value(value: value_pb2.Value, place: str, name: str) -> None:
    try:
        date_of(value.date)
    except ValueError:
        wanted = "a day that there is, with its year from 1 to 9999"
        raise invalid_field(_named(place, name), "another", wanted) from None


def _check_texts_value(value: value_pb2.Value, place: str, name: str) -> None:
    named, texts = _named(place, name), value.texts.values
    _check_count(len(texts), 0, limits.TEXTS, named)
    for text in texts:
        if len(text) > limits.TEXTS_LENGTH or "\0" in text:
            _check_text(text, 0, limits.TEXTS_LENGTH, named)
        if limits.SEPARATOR in text:
            raise invalid_field(named, "U+001F", "texts without it")
    if (total := sum(map(len, texts))) > limits.TEXTS_TOTAL:
        raise invalid_field(named, str(total), f"{limits.TEXTS_TOTAL} characters in all at most")


_VALUE_CHECKS: Mapping[str, Callable[[value_pb2.Value, str, str], None]] = {
    "text": _check_text_value,
    "number": _check_number_value,
    "time": _check_time_value,
    "date": _check_date_value,
    "texts": _check_texts_value,
}


def _check_primary(namespace: str, identities: Identities) -> None:
    if all(identity.namespace != namespace for identity in identities):
        raise invalid_field(
            "event.primary_namespace",
            "one that no identifier has",
            "the namespace of one of the event's identifiers",
        )


def _explain_identities(identities: Identities, place: str) -> None:
    for index, identity in enumerate(identities):
        check_identity(identity, f"{place}[{index}]")


def _check_count(count: int, least: int, most: int, place: str) -> None:
    if not least <= count <= most:
        raise invalid_field(place, str(count), f"{least} to {most} entries")


def _check_text(text: str, least: int, most: int, place: str) -> None:
    """Raise InvalidArgument for a text too short or long, or with U+0000.

    PostgreSQL has no text with it: what one service takes, the table of another would refuse.
    """
    if not least <= len(text) <= most:
        raise invalid_field(place, str(len(text)), f"{least} to {most} characters")
    if "\0" in text:
        raise invalid_field(place, "U+0000", "a text without it")


def _check_number(number: float, place: str) -> None:
    # Not-a-number fails every comparison.
    if not -NUMBER_LIMIT <= number <= NUMBER_LIMIT:
        raise invalid_field(place, "another", f"a number from -{NUMBER_LIMIT} to {NUMBER_LIMIT}")


def _check_enum(value: int, least: int, known: Sequence[int], place: str) -> None:
    if value < least or value not in known:
        raise invalid_field(place, str(value), f"one of {[v for v in known if v >= least]}")


def _token(place: str, text: str) -> InvalidArgument:
    found = f"{len(text)} characters" if len(text) > limits.TOKEN_LENGTH or not text else "others"
    return invalid_field(place, found, "1 to 64 characters of a-z, 0-9, `_`, `-` and `.`")


def _conflict(place: str, declared: str, found: str) -> InvalidArgument:
    return InvalidArgument(
        "SCHEMA_CONFLICT",
        f"{place}: declared as {declared}, found {found}",
        {"field": place, "declared": str(declared), "found": found},
    )


def _named(place: str, name: str) -> str:
    return f"{place}[{name}]" if limits.is_field_name(name) else f"{place}[...]"


def input_id(input_: pb.IngestInput) -> str:
    """Return the input's event or change id, empty where it has none of the right length."""
    match input_.WhichOneof("input"):
        case "event":
            found = input_.event.event_id
        case "attributes":
            found = input_.attributes.change_id
        case "consent":
            found = input_.consent.change_id
        case "catalog_item":
            found = input_.catalog_item.change_id
        case _:
            found = ""
    return found if len(found) <= limits.ID_LENGTH else ""
