"""Random packs of facts, and what Python makes of any bytes: the twin of `segcore._decode`."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from coterie.log.v1 import facts_pb2
from coterie.type.v1 import event_pb2, value_pb2
from segcore.micro import TIME_LIMIT_MS, from_float
from services.kit.ids import ordinal_of
from services.segmentation import wire
from services.segmentation.domain import CatalogFacts

MISSING = -(2**63)
CATALOG = {
    "shoe": CatalogFacts("boots", "Acme", 59.5),
    "hat": CatalogFacts(None, "Bär", None),
    "": CatalogFacts("nothing", None, 1.0),
}
LONG = 40_000
TEXTS = ("", "a", "shoe", "hat", "sock", "é", "z\U0001f600", "x" * 40)
ODD_TEXTS = ("zero\0", "unit\x1f", "y" * LONG)
NAMES = ("sku", "category", "brand", "price", "total", "née", "")
NUMBERS = (0.0, -0.0, 1.0, 0.0000005, 0.0000015, 2.5e-6, -3.25, 399.99, 9e9)
ODD_NUMBERS = (9.1e9, float("nan"), float("-inf"))
ODD_SHARE = 0.01
EPOCH = dt.date(1970, 1, 1).toordinal()

Row = dict[str, Any]


class Packs:
    """Packs drawn from a seeded source; texts are the same few, so that they meet."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def _pick(self, usual: Sequence[Any], odd: Sequence[Any]) -> Any:
        """Return a value, now and then one that a kernel leaves to Python."""
        return self._chance.choice(odd if self._chance.random() < ODD_SHARE else usual)

    def _text(self) -> str:
        return str(self._pick(TEXTS, ODD_TEXTS))

    def pack(self) -> facts_pb2.FactPack:
        """Return a pack in which most inputs are plain events."""
        pack = facts_pb2.FactPack(inbound_seq=self._chance.randrange(1 << 40))
        for index in range(self._chance.randrange(6)):
            self._add_input(pack, index)
        return pack

    def _add_input(self, pack: facts_pb2.FactPack, index: int) -> None:
        chance = self._chance
        person = self._pick((1, 7, 1 << 32 | 5), (0, (1 << 32) - 1, 1 << 32))
        head: dict[str, Any] = {
            "index": index,
            "log_time_ms": chance.choice((0, 1_700_000_000_000, -5, 1 << 62)),
            "received_ms": self._pick((0, 1_700_000_000_500, -1), (TIME_LIMIT_MS + 1,)),
            "profile_id": person,
            "input_id": self._text(),
            "traceparent": chance.choice(("", "00-abc-def-01")),
        }
        for _ in range(chance.choice((0, 0, 1, 2))):
            named = pack.facts.add(**head)
            named.identity_assigned.identity.namespace = "crm"
            named.identity_assigned.identity.value = self._text()
        fact = pack.facts.add(**head)
        if chance.random() < 0.8:
            fact.came_with.namespace = chance.choice(("crm", "email"))
            fact.came_with.value = self._text()
        kind = chance.random()
        if kind < 0.9:
            self._fill(fact.event)
        elif kind < 0.95:
            fact.tick.SetInParent()
        else:
            fact.catalog_item.sku = "shoe"

    def _fill(self, event: event_pb2.Event) -> None:
        chance = self._chance
        event.event_id = self._text()
        event.type = chance.choice(("purchase", "view", ""))
        for _ in range(chance.randrange(3)):
            event.identities.add(namespace="crm", value=self._text())
        event.primary_namespace = chance.choice(("", "crm"))
        if chance.random() < 0.6:
            event.occurred_time.seconds = self._pick((0, -1, 1_700_000_000), (1 << 40,))
            event.occurred_time.nanos = self._pick((0, 999_999_999, 1_500_000), (-1,))
        for _ in range(chance.choice((0, 0, 1, 3))):
            self._fill_line(event.items.add())
        for name in chance.sample(NAMES, chance.randrange(len(NAMES))):
            self._fill_value(event.properties[name])

    def _fill_line(self, line: event_pb2.LineItem) -> None:
        chance = self._chance
        line.sku = self._text()
        line.category = self._text()
        line.brand = chance.choice(("", "Acme"))
        if chance.random() < 0.5:
            line.price = self._pick(NUMBERS, ODD_NUMBERS)
        if chance.random() < 0.5:
            line.quantity = self._pick(NUMBERS, ODD_NUMBERS)

    def _fill_value(self, value: value_pb2.Value) -> None:
        chance = self._chance
        match chance.randrange(8):
            case 0 | 1:
                value.text = self._text()
            case 2 | 3:
                value.number = self._pick(NUMBERS, ODD_NUMBERS)
            case 4:
                value.flag = chance.random() < 0.5
            case 5:
                value.time.seconds = self._pick((0, -7, 253_402_300_799), (253_402_300_800,))
                value.time.nanos = chance.choice((0, 999_999_999))
            case 6:
                value.date.year = self._pick((1, 1970, 2000, 2024, 9999), (0, 10_000))
                value.date.month = self._pick((1, 2, 12), (0, 13))
                value.date.day = self._pick((1, 28), (0, 29, 30, 31, 32))
            case _:
                value.texts.values.extend(self._text() for _ in range(chance.randrange(3)))


def rows_of(payload: bytes) -> list[Row | None] | None:
    """Return, for each input, the row of a plain event, None for another; None if malformed."""
    try:
        pack = facts_pb2.FactPack.FromString(payload)
    except DecodeError:
        return None
    rows: list[Row | None] = []
    inputs: list[list[facts_pb2.Fact]] = []
    for fact in pack.facts:
        if not inputs or inputs[-1][-1].index != fact.index:
            inputs.append([])
        inputs[-1].append(fact)
    for facts in inputs:
        try:
            rows.append(_row(facts[-1]) if _is_plain(facts) else None)
        except ValueError:
            rows.append(None)
    return rows


def _is_plain(facts: list[facts_pb2.Fact]) -> bool:
    event = facts[-1]
    return (
        event.HasField("event")
        and 0 < ordinal_of(event.profile_id) < 0xFFFFFFFF
        and all(
            fact.HasField("identity_assigned") and fact.profile_id == event.profile_id
            for fact in facts[:-1]
        )
    )


def _row(fact: facts_pb2.Fact) -> Row:
    """Return the row of an event; raises ValueError where something of it cannot be kept."""
    found = wire.event_of(fact, CATALOG)
    if abs(found.received_ms) > TIME_LIMIT_MS:
        raise ValueError("time")
    if len(found.came_with) > LONG // 2 or sum(map(len, _listed(fact))) > LONG // 2:
        raise ValueError("long")
    for text in _texts(fact):
        if "\0" in text:
            raise ValueError("text")
    return {
        "ordinal": ordinal_of(fact.profile_id),
        "index": fact.index,
        "type": found.type,
        "came_with": found.came_with,
        "occurred_ms": found.occurred_ms,
        "received_ms": found.received_ms,
        "log_ms": fact.log_time_ms,
        "event_id": found.event_id,
        "traceparent": fact.traceparent,
        "properties": {
            name: kept
            for name, value in fact.event.properties.items()
            if (kept := _kept(value)) is not None
        },
        "items": [
            (
                item.sku,
                item.category,
                item.brand,
                MISSING if item.price is None else from_float(item.price),
                from_float(item.quantity),
            )
            for item in found.items
        ],
    }


def _listed(fact: facts_pb2.Fact) -> list[str]:
    return [text for value in fact.event.properties.values() for text in value.texts.values]


def _texts(fact: facts_pb2.Fact) -> list[str]:
    """Return all texts in which the decoder leaves U+0000 to Python."""
    event = fact.event
    found = [event.event_id, event.type, fact.came_with.namespace, fact.came_with.value]
    for line in event.items:
        found += [line.sku, line.category, line.brand]
    for name, value in event.properties.items():
        found += [name, value.text, *value.texts.values]
    return found


def _kept(value: value_pb2.Value) -> tuple[int, int | str] | None:  # noqa: PLR0911  one arm a kind
    """Return the code of the kind and the value as the kernels keep it; a text stays one."""
    match value.WhichOneof("kind"):
        case None:
            return None
        case "number":
            return 0, from_float(value.number)
        case "text":
            return 1, value.text
        case "flag":
            return 2, int(value.flag)
        case "time":
            return 3, value.time.ToMilliseconds()
        case "date":
            day = dt.date(value.date.year, value.date.month, value.date.day)
            return 4, day.toordinal() - EPOCH
        case _:
            if any("\x1f" in text for text in value.texts.values):
                raise ValueError("texts")
            return 5, "".join(f"{text}\x1f" for text in value.texts.values)
