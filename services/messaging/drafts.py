"""What a message is made of: its template as it is now, and what the template may name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection, bindparam, select

from coterie.log.v1 import intents_pb2
from coterie.messaging.v1 import template_pb2
from services.messaging import tables
from services.messaging.content import Occasion, content_of, load_data, parts_of
from services.messaging.domain.gate import Verdict
from services.messaging.domain.lanes import Lane

_NEWEST = (
    select(tables.templates.c.version, tables.templates.c.template)
    .where(tables.templates.c.template_id == bindparam("template"))
    .order_by(tables.templates.c.version.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a message would be made of: for this lane and address, with this template's version.

    `content` is there where it was made before: the words of one message never change.
    """

    lane: Lane
    address: str
    version: int
    parts: dict[str, str]
    data: dict[str, Any]
    content: bytes | None


def draft_of(
    connection: Connection,
    profile_id: int,
    intent: intents_pb2.Intent,
    verdict: Verdict,
    zone: tzinfo,
) -> Draft | None:
    """Return what a message is made of on the lane of the verdict; no parts without a template."""
    if verdict.lane is None:
        return None
    send = intent.send
    found = connection.execute(_NEWEST, {"template": send.template_id}).one_or_none()
    if found is None:
        return Draft(verdict.lane, verdict.address, 0, {}, {}, None)
    occasion = Occasion(
        intent.intent_id,
        send.campaign,
        verdict.lane,
        send.trigger if send.HasField("trigger") else None,
        send.item_sku,
    )
    data = load_data(connection, profile_id, occasion, zone)
    template = template_pb2.Template.FromString(found.template)
    parts = parts_of(template, verdict.lane, send.template_id)
    return Draft(verdict.lane, verdict.address, found.version, parts, data, None)


def made(rendered: dict[str, str]) -> bytes:
    """Return rendered parts as they are stored."""
    return content_of(rendered).SerializeToString()
