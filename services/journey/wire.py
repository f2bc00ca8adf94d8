"""Protobuf to the domain: what the facts say, and journeys as they were checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coterie.journey.v1 import journey_pb2
from coterie.log.v1 import facts_pb2, outcome_pb2
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, message_pb2, value_pb2
from segcore.history import Event, Item, PropertyValue
from segcore.instance import CatalogItem
from services.journey.domain import definition
from services.kit.errors import FieldMistake
from services.kit.rpc.dates import date_of

_KEYS = {
    journey_pb2.KEY_UNSPECIFIED: definition.Key.PERSON,
    journey_pb2.KEY_EVENT: definition.Key.EVENT,
    journey_pb2.KEY_ITEM: definition.Key.ITEM,
}
_REENTRIES = {
    journey_pb2.REENTRY_UNSPECIFIED: definition.Reentry.ALWAYS,
    journey_pb2.REENTRY_NEVER: definition.Reentry.NEVER,
    journey_pb2.REENTRY_AFTER: definition.Reentry.AFTER,
}
_OUTCOMES = {
    message_pb2.MESSAGE_STATE_SENT: "sent",
    message_pb2.MESSAGE_STATE_DISCARDED: "discarded",
    message_pb2.MESSAGE_STATE_FAILED: "failed",
    message_pb2.MESSAGE_STATE_UNKNOWN: "unknown",
    message_pb2.MESSAGE_STATE_CANCELLED: "cancelled",
}

Catalog = Callable[[str], change_pb2.CatalogItem | None]


def journey_of(
    journey_id: str, version: int, message: journey_pb2.Journey, mistakes: list[FieldMistake]
) -> definition.Journey:
    """Return the journey of a message; what the message lacks or cannot be is added to mistakes."""
    steps = [
        _step(f"journey.steps[{place}]", step, mistakes) for place, step in enumerate(message.steps)
    ]
    expires = message.expires_after.ToMilliseconds() if message.HasField("expires_after") else None
    return definition.Journey(
        journey_id=journey_id,
        version=version,
        entry=_entry(message.entry, mistakes),
        steps=tuple(steps),
        exit_rule=message.exit_rule,
        expires_after_ms=expires,
    )


def _entry(entry: journey_pb2.Entry, mistakes: list[FieldMistake]) -> definition.Entry:
    source = entry.WhichOneof("source")
    if source is None or not getattr(entry, source).strip():
        mistakes.append(FieldMistake("journey.entry", "expected `audience` or `rows`, found none"))
    for field, value, known in (
        ("key", entry.key, _KEYS),
        ("reentry", entry.reentry, _REENTRIES),
    ):
        if value not in known:
            mistakes.append(_no_value(f"journey.entry.{field}", value))
    audience = entry.audience
    if source == "audience" and audience.strip() and not audience.startswith("audiences/"):
        form = "expected `audiences/` and then the id of an audience, found another text"
        mistakes.append(FieldMistake("journey.entry.audience", form))
    late = entry.max_lateness
    return definition.Entry(
        audience_id=audience.removeprefix("audiences/"),
        rows=entry.rows,
        key=_KEYS.get(entry.key, definition.Key.PERSON),
        rule=entry.rule,
        reentry=_REENTRIES.get(entry.reentry, definition.Reentry.ALWAYS),
        reentry_after_ms=entry.reentry_after.ToMilliseconds(),
        restart_first_wait=entry.restart_first_wait,
        max_lateness_ms=late.ToMilliseconds() if entry.HasField("max_lateness") else None,
    )


def _step(  # noqa: PLR0911 - one arm a kind of step
    path: str, step: journey_pb2.Step, mistakes: list[FieldMistake]
) -> definition.Step:
    """Return the step; where there is none, an end keeps its place."""
    match step.WhichOneof("action"):
        case "wait":
            return _wait(path, step, mistakes)
        case "wait_for":
            found = step.wait_for
            timeout_ms = found.timeout.ToMilliseconds()
            return definition.WaitFor(step.id, found.rule, timeout_ms, found.timeout_step)
        case "branch":
            return definition.Branch(step.id, step.branch.rule, step.branch.else_step)
        case "send":
            return _send(f"{path}.send", step, mistakes)
        case "go_to":
            return definition.GoTo(step.id, step.go_to.step)
        case "end":
            return definition.End(step.id)
        case _:
            mistakes.append(FieldMistake(path, "expected an action, found none"))
            return definition.End(step.id)


def _wait(path: str, step: journey_pb2.Step, mistakes: list[FieldMistake]) -> definition.Step:
    match step.wait.WhichOneof("length"):
        case "duration":
            return definition.Wait(step.id, step.wait.duration.ToMilliseconds())
        case "until_after_entry":
            length_ms = step.wait.until_after_entry.ToMilliseconds()
            return definition.Wait(step.id, length_ms, after_entry=True)
        case _:
            wanted = "expected `duration` or `until_after_entry`, found none"
            mistakes.append(FieldMistake(f"{path}.wait", wanted))
            return definition.End(step.id)


def _send(path: str, step: journey_pb2.Step, mistakes: list[FieldMistake]) -> definition.Send:
    send = step.send
    known = message_pb2.SendChannel.values()[1:]
    for place, channel in enumerate(send.channels):
        if channel not in known:
            mistakes.append(_no_value(f"{path}.channels[{place}]", channel))
    if send.purpose not in message_pb2.Purpose.values():
        mistakes.append(_no_value(f"{path}.purpose", send.purpose))
    if send.timing not in message_pb2.Timing.values():
        mistakes.append(_no_value(f"{path}.timing", send.timing))
    if not send.template.startswith("templates/") or send.template == "templates/":
        form = "expected `templates/` and then the id of a template, found another text"
        mistakes.append(FieldMistake(f"{path}.template", form))
    return definition.Send(
        step=step.id,
        campaign=send.campaign,
        channels=tuple(send.channels),
        template_id=send.template.removeprefix("templates/"),
        purpose=send.purpose,
        timing=send.timing,
    )


def _no_value(path: str, found: int) -> FieldMistake:
    return FieldMistake(path, f"expected a value that the enum names, found {found}")


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


def event_of(fact: facts_pb2.Fact, catalog: Catalog) -> Event:
    """Return the event of a fact, its items completed from the catalog of this position."""
    event = fact.event
    occurred_ms = fact.received_ms
    if event.HasField("occurred_time"):
        occurred_ms = min(event.occurred_time.ToMilliseconds(), fact.received_ms)
    properties = {
        name: plain
        for name, value in event.properties.items()
        if (plain := value_of(value)) is not None
    }
    lines = list(event.items)
    sku = properties.get("sku")
    if not lines and isinstance(sku, str):
        lines = [_bare_line(sku, properties)]
    return Event(
        event.event_id,
        event.type,
        occurred_ms,
        fact.received_ms,
        identifier_of(fact.came_with),
        properties,
        tuple(_item(line, catalog) for line in lines),
    )


def identifier_of(identity: identity_pb2.Identity) -> str:
    """Return an identifier as events and instances have it."""
    return f"{identity.namespace}:{identity.value}"


def source_of(facts: Iterable[facts_pb2.Fact]) -> str:
    """Return by which identifier an input names its person; empty where by none."""
    return next((identifier_of(one.came_with) for one in facts if one.HasField("came_with")), "")


def _bare_line(sku: str, properties: dict[str, PropertyValue]) -> event_pb2.LineItem:
    """Return the line of an event that names its one item among its properties."""
    category, brand, price = map(properties.get, ("category", "brand", "price"))
    return event_pb2.LineItem(
        sku=sku,
        category=category if isinstance(category, str) else "",
        brand=brand if isinstance(brand, str) else "",
        price=price if isinstance(price, float) else None,
    )


def _item(line: event_pb2.LineItem, catalog: Catalog) -> Item:
    known = catalog(line.sku) or change_pb2.CatalogItem()
    known_price = known.price if known.HasField("price") else None
    return Item(
        line.sku,
        line.category or known.category or None,
        line.brand or known.brand or None,
        line.price if line.HasField("price") else known_price,
        line.quantity if line.HasField("quantity") else 1.0,
    )


def catalog_item_of(item: change_pb2.CatalogItem | None) -> CatalogItem | None:
    """Return what a condition may ask of an item; None where the catalog does not know it."""
    if item is None:
        return None
    return CatalogItem(
        stock=item.stock if item.HasField("stock") else None,
        price=item.price if item.HasField("price") else None,
        category=item.category or None,
        brand=item.brand or None,
        name=item.name or None,
        tags=tuple(item.tags),
    )


def outcome_of(outcome: outcome_pb2.MessageOutcome) -> str:
    """Return what became of a message in words, e.g. `discarded: no_consent`."""
    state = _OUTCOMES.get(outcome.state, "unknown")
    return f"{state}: {outcome.reason}" if outcome.reason else state
