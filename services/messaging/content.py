"""What a template is given: the person, what started the journey, the items, the message itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, select

from coterie.messaging.v1 import template_pb2
from coterie.type.v1 import change_pb2, event_pb2, value_pb2
from services.messaging import tables, upserts
from services.messaging.domain.lanes import PROVIDER_NAMES, Lane

ITEM_FIELDS = ("sku", "name", "category", "brand", "price", "image_url", "quantity")


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a message is made for. `trigger` is None where no event started the journey."""

    message_id: str
    campaign: str
    lane: Lane
    trigger: event_pb2.Event | None
    item_sku: str


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


def load_data(
    connection: Connection, profile_id: int, occasion: Occasion, zone: tzinfo
) -> dict[str, Any]:
    """Return what the template may name, as it is now: plain texts, numbers, lists and mappings."""
    table = tables.attributes
    rows = connection.execute(
        select(table.c.name, table.c.value).where(table.c.profile_id == profile_id)
    )
    attributes = {row.name: _plain(value_pb2.Value.FromString(row.value), zone) for row in rows}
    return {
        "profile": {name: value for name, value in attributes.items() if value is not None},
        "trigger": _trigger(occasion.trigger, zone),
        "items": _items(connection, occasion),
        "message": {
            "id": occasion.message_id,
            "campaign": occasion.campaign,
            "channel": PROVIDER_NAMES[occasion.lane],
        },
    }


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


def _items(connection: Connection, occasion: Occasion) -> list[dict[str, Any]]:
    """Return the items that the message is about, as the catalog has them; unknown ones are not."""
    lines = _lines(occasion)
    known: dict[str, change_pb2.CatalogItem] = {}
    table = tables.catalog_items
    for chunk in upserts.chunks(lines):
        rows = connection.execute(select(table.c.sku, table.c.item).where(table.c.sku.in_(chunk)))
        known.update((row.sku, change_pb2.CatalogItem.FromString(row.item)) for row in rows)
    return [_item(known[sku], mine) for sku, mine in lines.items() if sku in known]


def _lines(occasion: Occasion) -> dict[str, list[event_pb2.LineItem]]:
    """Return the lines by SKU: of the key item, else of the trigger."""
    lines: dict[str, list[event_pb2.LineItem]] = {}
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


def _plain(value: value_pb2.Value, zone: tzinfo) -> str | float | bool | None:
    match value.WhichOneof("kind"):
        case "text":
            return value.text
        case "number":
            return value.number
        case "flag":
            return value.flag
        case "time":
            return _instant(value.time, zone)
        case _:
            return None


def _instant(time: Timestamp, zone: tzinfo) -> str:
    """Return an instant as local time with its offset, which the filter `date` reads."""
    at = datetime.fromtimestamp(time.seconds, UTC).astimezone(zone)
    return at.isoformat(timespec="seconds")
