"""What a message is made of: its template as it is now, and what the template may name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from sqlalchemy import Connection, bindparam, select

from coterie.log.v1 import intents_pb2
from coterie.messaging.v1 import template_pb2
from services.messaging import tables
from services.messaging.content import Occasion, Reader, content_of, load_data, parts_of
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message that is to be made: to whom, for which lane and address."""

    profile_id: int
    intent: intents_pb2.Intent
    lane: Lane
    address: str
    zone: tzinfo


def drafts_of(connection: Connection, wanted: Sequence[Wanted]) -> dict[str, Draft]:
    """Return what each message is made of, by its id; no parts without a template."""
    names = {each.intent.send.template_id for each in wanted}
    newest = {name: _newest(connection, name) for name in names}
    data = load_data(connection, [_reader(each) for each in wanted])
    return {
        each.intent.intent_id: _draft(each, newest[each.intent.send.template_id], its)
        for each, its in zip(wanted, data, strict=True)
    }


def _newest(connection: Connection, template_id: str) -> tuple[int, template_pb2.Template] | None:
    row = connection.execute(_NEWEST, {"template": template_id}).one_or_none()
    return (row.version, template_pb2.Template.FromString(row.template)) if row else None


def _reader(wanted: Wanted) -> Reader:
    send = wanted.intent.send
    trigger = send.trigger if send.HasField("trigger") else None
    occasion = Occasion(wanted.intent.intent_id, send.campaign, wanted.lane, trigger, send.item_sku)
    return Reader(wanted.profile_id, wanted.zone, occasion)


def _draft(
    wanted: Wanted, newest: tuple[int, template_pb2.Template] | None, data: dict[str, Any]
) -> Draft:
    if newest is None:
        return Draft(wanted.lane, wanted.address, 0, {}, {}, None)
    version, template = newest
    parts = parts_of(template, wanted.lane, wanted.intent.send.template_id)
    return Draft(wanted.lane, wanted.address, version, parts, data, None)


def made(rendered: dict[str, str]) -> bytes:
    """Return rendered parts as they are stored."""
    return content_of(rendered).SerializeToString()
