"""What goes along when a person leaves for another partition: to bytes, and back.

Only segmentation reads it. Compressed, it has to fit into one record of the inbound log and, with
what else the merge brings, into one of the facts log.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import date

import structlog

from coterie.log.v1 import handoff_pb2, inbound_pb2, transitions_pb2
from coterie.type.v1 import event_pb2, value_pb2
from segcore import AttributeChange, Departed, Event, Item, PropertyValue
from services.kit.ids import derive_id
from services.kit.rpc.dates import date_message
from services.segmentation.domain import Belongings, Cause, Change
from services.segmentation.wire import value_of

SERVICE = "segmentation"
FORMAT = 1
STATE_LIMIT_BYTES = 3 * 1024 * 1024
"""Compressed: the history of a kiosk over years. Of what is more the oldest half stays behind."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def handoff(merge_id: str, state: bytes, received_ms: int) -> bytes:
    """Return the inbound pack that hands a person over; its id is a function of the merge."""
    pack = inbound_pb2.InboundPack()
    one = pack.inputs.add(input_id=derive_id("handoff", merge_id, SERVICE), received_ms=received_ms)
    one.handoff.merge_id = merge_id
    one.handoff.service = SERVICE
    one.handoff.state = state
    return pack.SerializeToString(deterministic=True)


def pack_belongings(belongings: Belongings) -> bytes:
    """Return what a person takes along, at most STATE_LIMIT_BYTES."""
    departed = belongings.departed
    events = departed.events
    while True:
        message = _history(departed._replace(events=events), belongings.records)
        state = zlib.compress(message.SerializeToString(deterministic=True))
        if len(state) <= STATE_LIMIT_BYTES or not events:
            return state
        left_behind = (len(events) + 1) // 2
        log.error("history_too_large", events=len(events), left_behind=left_behind)
        events = events[left_behind:]


def unpack_belongings(state: bytes) -> Belongings:
    """Return what `pack_belongings` gave; raises ValueError for another format.

    No bytes are what a service hands over that could not read the person's history.
    """
    if not state:
        return Belongings(Departed((), (), ()), {})
    message = handoff_pb2.PersonHistory.FromString(zlib.decompress(state))
    if message.format != FORMAT:
        raise ValueError(f"expected a history of format {FORMAT}, found {message.format}")
    changes = (
        (each.arrival, AttributeChange(_plain(each.attributes), each.as_of_ms, each.came_with))
        for each in message.attributes
    )
    return Belongings(
        Departed(
            tuple(map(_event, message.events)),
            tuple(changes),
            tuple(each.audience_id for each in message.memberships if each.member),
        ),
        {each.audience_id: _change(each) for each in message.memberships},
    )


def _history(departed: Departed, records: Mapping[str, Change]) -> handoff_pb2.PersonHistory:
    message = handoff_pb2.PersonHistory(format=FORMAT)
    for event in departed.events:
        past = message.events.add(
            occurred_ms=event.occurred_ms,
            received_ms=event.received_ms,
            came_with=event.came_with,
        )
        past.event.event_id, past.event.type = event.event_id, event.type
        past.event.items.extend(map(_line, event.items))
        _put_values(past.event.properties, event.properties)
    for arrival, change in departed.attribute_changes:
        values = message.attributes.add(
            as_of_ms=change.as_of_ms, arrival=arrival, came_with=change.came_with
        )
        _put_values(values.attributes, change.values)
    for audience_id, record in records.items():
        message.memberships.add(
            audience_id=audience_id,
            member=audience_id in departed.audiences,
            enter_ms=record.enter_ms,
            exit_ms=record.exit_ms,
            cause=_CAUSES[record.cause],
            cause_id=record.cause_id,
            version=record.version,
        )
    return message


def _put_values(
    stored: Mapping[str, value_pb2.Value], values: Mapping[str, PropertyValue | None]
) -> None:
    for name, plain in values.items():
        value = stored[name]
        match plain:
            case None:
                value.SetInParent()
            case bool():
                value.flag = plain
            case int():
                value.time.FromMilliseconds(plain)
            case float():
                value.number = plain
            case str():
                value.text = plain
            case date():
                value.date.CopyFrom(date_message(plain))
            case tuple():
                # An empty list is a value too.
                value.texts.SetInParent()
                value.texts.values.extend(plain)


def _plain(values: Mapping[str, value_pb2.Value]) -> dict[str, PropertyValue | None]:
    return {name: value_of(value) for name, value in values.items()}


def _line(item: Item) -> event_pb2.LineItem:
    return event_pb2.LineItem(
        sku=item.sku,
        category=item.category or "",
        brand=item.brand or "",
        price=item.price,
        quantity=item.quantity,
    )


def _items(lines: Iterable[event_pb2.LineItem]) -> tuple[Item, ...]:
    return tuple(
        Item(
            line.sku,
            line.category or None,
            line.brand or None,
            line.price if line.HasField("price") else None,
            line.quantity,
        )
        for line in lines
    )


def _event(past: handoff_pb2.PastEvent) -> Event:
    properties = {
        name: plain for name, plain in _plain(past.event.properties).items() if plain is not None
    }
    return Event(
        past.event.event_id,
        past.event.type,
        past.occurred_ms,
        past.received_ms,
        past.came_with,
        properties,
        _items(past.event.items),
    )


_CAUSES = {cause: transitions_pb2.Cause.Value(f"CAUSE_{cause.name}") for cause in Cause}
_FROM_WIRE = {number: cause for cause, number in _CAUSES.items()}


def _change(past: handoff_pb2.PastMembership) -> Change:
    return Change(past.enter_ms, past.exit_ms, _FROM_WIRE[past.cause], past.cause_id, past.version)
