"""What a template is given: the person, what started the journey, the items, the message itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, bindparam, select

from coterie.messaging.v1 import template_pb2
from coterie.type.v1 import change_pb2, event_pb2, value_pb2
from services.kit.rpc.dates import date_of
from services.kit.sql import chunks
from services.messaging import tables
from services.messaging.domain.lanes import PROVIDER_NAMES, Lane

ITEM_FIELDS = ("sku", "name", "category", "brand", "price", "image_url", "quantity")


Lines = dict[str, list[event_pb2.LineItem]]
"""What a message is about: lines of an order or a cart, by SKU."""

# Built once: building a statement costs more than running it.
_ATTRIBUTES = (
    select(tables.attributes.c.profile_id, tables.attributes.c.name, tables.attributes.c.value)
    .where(tables.attributes.c.profile_id.in_(bindparam("people", expanding=True)))
    .order_by(tables.attributes.c.as_of_ms, tables.attributes.c.arrival)
)
_ITEMS = select(tables.catalog_items.c.sku, tables.catalog_items.c.item).where(
    tables.catalog_items.c.sku.in_(bindparam("skus", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a message is made for. `trigger` is None where no event started the journey."""

    message_id: str
    campaign: str
    lane: Lane
    trigger: event_pb2.Event | None
    item_sku: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is to read a message, and on which occasion."""

    profile_id: int
    zone: tzinfo
    occasion: Occasion


def parts_of(template: template_pb2.Template, lane: Lane, template_id: str) -> dict[str, str]:
    """Return the sources of what the message has on this lane, by name."""
    title = template.display_name or template_id
    match lane:
        case Lane.EMAIL:
            email = template.email
            parts = {"subject": email.subject or _literal(title)}
            parts["text"] = email.text or template.text
            if email.html:
                parts["html"] = email.html
            return parts
        case Lane.SMS:
            return {"text": template.sms_text or template.text}
        case Lane.PUSH:
            push = template.push
            return {"title": push.title, "text": push.text or template.text}
        case Lane.ASSISTANT:
            return {"subject": _literal(title), "text": template.text}


def content_of(rendered: Mapping[str, str]) -> template_pb2.Content:
    """Return rendered parts as content."""
    return template_pb2.Content(
        subject=rendered.get("subject", rendered.get("title", "")),
        text=rendered["text"],
        html=rendered.get("html", ""),
    )


def load_data(connection: Connection, readers: Sequence[Reader]) -> list[dict[str, Any]]:
    """Return what the template may name for each reader, as it is now.

    Plain texts, numbers, lists and mappings.
    """
    attributes = _attributes(connection, {each.profile_id for each in readers})
    lines = [_lines(each.occasion) for each in readers]
    known = _known(connection, {sku for mine in lines for sku in mine})
    return [
        _data(reader, attributes[reader.profile_id], mine, known)
        for reader, mine in zip(readers, lines, strict=True)
    ]


def _data(
    reader: Reader,
    attributes: Mapping[str, value_pb2.Value],
    lines: Lines,
    known: Mapping[str, change_pb2.CatalogItem],
) -> dict[str, Any]:
    occasion = reader.occasion
    values = {name: _plain(value, reader.zone) for name, value in attributes.items()}
    return {
        "profile": {name: value for name, value in values.items() if value is not None},
        "trigger": _trigger(occasion.trigger, reader.zone),
        # What the catalog does not know is left out.
        "items": [_item(known[sku], mine) for sku, mine in lines.items() if sku in known],
        "message": {
            "id": occasion.message_id,
            "campaign": occasion.campaign,
            "channel": PROVIDER_NAMES[occasion.lane],
        },
    }


def _attributes(
    connection: Connection, profile_ids: Collection[int]
) -> Mapping[int, dict[str, value_pb2.Value]]:
    found: dict[int, dict[str, value_pb2.Value]] = defaultdict(dict)
    for chunk in chunks(profile_ids):
        for row in connection.execute(_ATTRIBUTES, {"people": chunk}):
            found[row.profile_id][row.name] = value_pb2.Value.FromString(row.value)
    return found


def _known(connection: Connection, skus: Collection[str]) -> dict[str, change_pb2.CatalogItem]:
    known: dict[str, change_pb2.CatalogItem] = {}
    for chunk in chunks(skus):
        rows = connection.execute(_ITEMS, {"skus": chunk})
        known.update((row.sku, change_pb2.CatalogItem.FromString(row.item)) for row in rows)
    return known


def _literal(text: str) -> str:
    """Return a text as a template that says just that."""
    return text.replace("{", "{{ '{' }}") if "{" in text else text


def _trigger(event: event_pb2.Event | None, zone: tzinfo) -> dict[str, Any]:
    if event is None:
        return {}
    values = {name: _plain(value, zone) for name, value in event.properties.items()}
    values |= {"id": event.event_id, "type": event.type}
    if event.HasField("occurred_time"):
        values["occurred_at"] = _instant(event.occurred_time, zone)
    return {name: value for name, value in values.items() if value is not None}


def _lines(occasion: Occasion) -> Lines:
    """Return the lines by SKU: of the key item, else of the trigger."""
    lines: Lines = {}
    event = occasion.trigger
    for line in event.items if event is not None else ():
        lines.setdefault(line.sku, []).append(line)
    if occasion.item_sku:
        return {occasion.item_sku: lines.get(occasion.item_sku, [])}
    bare = event.properties["sku"].text if event is not None and "sku" in event.properties else ""
    return lines or ({bare: []} if bare else {})


def _item(item: change_pb2.CatalogItem, lines: Sequence[event_pb2.LineItem]) -> dict[str, Any]:
    quantity = sum(line.quantity if line.HasField("quantity") else 1.0 for line in lines)
    facts: dict[str, Any] = {
        "sku": item.sku,
        "name": item.name,
        "category": item.category,
        "brand": item.brand,
        "image_url": item.image_url,
        "quantity": float(quantity) if lines else 1.0,
    }
    paid = [line.price for line in lines if line.HasField("price")]
    if item.HasField("price"):
        facts["price"] = item.price
    elif paid:
        facts["price"] = paid[0]
    return facts


def _plain(value: value_pb2.Value, zone: tzinfo) -> str | float | bool | list[str] | None:  # noqa: PLR0911 - one arm a kind
    match value.WhichOneof("kind"):
        case "text":
            return value.text
        case "number":
            return value.number
        case "flag":
            return value.flag
        case "time":
            return _instant(value.time, zone)
        case "date":
            # As ISO writes it, which the filter `date` reads.
            return date_of(value.date).isoformat()
        case "texts":
            return list(value.texts.values)
        case _:
            return None


def _instant(time: Timestamp, zone: tzinfo) -> str:
    """Return an instant as local time with its offset, which the filter `date` reads."""
    at = datetime.fromtimestamp(time.seconds, UTC).astimezone(zone)
    return at.isoformat(timespec="seconds")
