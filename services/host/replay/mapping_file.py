"""Reads a mapping file into a `RowMapping`; what it does not know it refuses, with the line."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from segcore.rule import Kind
from services.host.definitions.document import DocumentError, Node, read_document
from services.host.replay.mapping import (
    Condition,
    EventId,
    EventType,
    Filter,
    Fold,
    Items,
    Property,
    RowMapping,
    Time,
    TimeFormat,
)

TYPE_NAME = re.compile(r"[a-z0-9_.-]{1,64}")
PROPERTY_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
MAX_PROPERTIES = 64
MAX_IDENTITIES = 16
CELL_KINDS = (Kind.NUMBER, Kind.TEXT, Kind.FLAG, Kind.TIME, Kind.DATE)
"""What one cell can say: no list of texts."""

_KEYS = {
    "id": "where event ids come from",
    "type": "the type of the events",
    "time": "when it happened",
    "identities": "whom it happened to",
    "group_by": "a column whose equal values make one event of several rows",
    "items": "the columns of an order's lines",
    "properties": "what rules may say of the events",
    "where": "which rows are taken",
    "delimiter": "what stands between the cells of a CSV file",
    "description": "what the data is, for people",
}
_ITEM_KEYS = {
    "sku": "the stock keeping unit",
    "quantity": "how many",
    "price": "the price of one",
    "amount": "the price of the whole line, instead of `price`",
    "category": "the category",
    "brand": "the brand",
}


def load_mapping(path: Path) -> RowMapping:
    """Return the mapping of a file; raises DocumentError with the place of a mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: {error}") from None
    return read_mapping(path.name, text)


def read_mapping(file: str, text: str) -> RowMapping:
    """Return the mapping of a text; raises DocumentError with the place of a mistake."""
    root = read_document(file, text)
    found = root.fields(_KEYS, ("id", "type", "time", "identities"))
    group_by = found["group_by"].text() if "group_by" in found else None
    event_id = _event_id(found["id"])
    if group_by and event_id.column not in (None, group_by):
        raise found["id"].mistake(
            f"expected the column of `group_by`, {group_by!r}, found {event_id.column!r}: "
            "one event has one id"
        )
    return RowMapping(
        file=file,
        event_id=event_id,
        event_type=_event_type(found["type"]),
        time=_time(found["time"]),
        identities=_identities(found["identities"]),
        group_by=group_by,
        items=_items(found["items"]) if "items" in found else None,
        properties=_properties(found.get("properties"), grouped=group_by is not None),
        filters=_filters(found.get("where")),
        delimiter=_delimiter(found.get("delimiter")),
    )


def _event_id(node: Node) -> EventId:
    known = {
        "column": "the column that holds it",
        "derive": "a name that begins ids made from the row's content",
        "prefix": "what is put before the column's value",
        "repeats": "keep or drop rows that repeat another exactly",
    }
    found = node.fields(known)
    if ("column" in found) == ("derive" in found):
        raise node.mistake("expected either `column` or `derive`")
    for key, needs in (("prefix", "column"), ("repeats", "derive")):
        if key in found and needs not in found:
            raise found[key].mistake(f"has a meaning only with `{needs}`")
    if "column" in found:
        prefix = found["prefix"].text() if "prefix" in found else ""
        return EventId(prefix, found["column"].text())
    keep = "repeats" not in found or found["repeats"].choice("keep", "drop") == "keep"
    return EventId(found["derive"].text() + "-", None, keep_repeats=keep)


def _event_type(node: Node) -> EventType:
    if not node.is_mapping():
        return EventType(constant=_type_name(node))
    found = node.fields(
        {"column": "the column that says it", "values": "the event type for each value"},
        ("column", "values"),
    )
    values = {key.text(): _type_name(value) for key, value in found["values"].pairs()}
    if not values:
        raise found["values"].wrong("at least one value with its event type")
    return EventType(column=found["column"].text(), values=MappingProxyType(values))


def _type_name(node: Node) -> str:
    name = node.text()
    if not TYPE_NAME.fullmatch(name):
        raise node.wrong("an event type: 1 to 64 characters of a-z, 0-9, `_`, `-` and `.`")
    return name


def _time(node: Node) -> Time:
    known = {
        "column": "the column that holds it",
        "format": "iso, epoch_s, epoch_ms, or a pattern such as %d/%m/%Y %H:%M",
        "zone": "the zone of times that name none, such as UTC or Europe/Paris",
    }
    found = node.fields(known, ("column", "zone"))
    form = found["format"].text() if "format" in found else TimeFormat.ISO.value
    if form not in tuple(TimeFormat) and "%" not in form:
        raise found["format"].wrong(known["format"])
    try:
        zone = ZoneInfo(found["zone"].text())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise found["zone"].wrong("the name of a zone, such as UTC or Europe/Paris") from None
    return Time(found["column"].text(), form, zone)


def _identities(node: Node) -> MappingProxyType[str, str]:
    columns: dict[str, str] = {}
    for key, value in node.pairs():
        if key.text() in columns:
            raise key.mistake(f"{key.text()!r} is there twice")
        columns[_namespace(key)] = value.text()
    if not 0 < len(columns) <= MAX_IDENTITIES:
        raise node.wrong(f"1 to {MAX_IDENTITIES} lines of `namespace: column`")
    return MappingProxyType(columns)


def _namespace(node: Node) -> str:
    if not TYPE_NAME.fullmatch(node.text()):
        raise node.wrong("a namespace: 1 to 64 characters of a-z, 0-9, `_`, `-` and `.`")
    return node.text()


def _items(node: Node) -> Items:
    found = node.fields(_ITEM_KEYS, ("sku",))
    if "price" in found and "amount" in found:
        raise found["amount"].mistake("expected `price` or `amount`, found both")
    return Items(**{key: value.text() for key, value in found.items()})


def _properties(node: Node | None, *, grouped: bool) -> tuple[Property, ...]:
    if node is None:
        return ()
    properties = [_property(key, value, grouped=grouped) for key, value in node.pairs()]
    names = [one.name for one in properties]
    if len(names) > MAX_PROPERTIES or len(set(names)) < len(names):
        raise node.wrong(f"at most {MAX_PROPERTIES} properties, each once")
    return tuple(properties)


def _property(key: Node, node: Node, *, grouped: bool) -> Property:
    if not PROPERTY_NAME.fullmatch(key.text()):
        raise key.wrong("a property name: letters, digits and `_`, beginning with no digit")
    known = {
        "column": "the column that holds it",
        "kind": "text, number, flag, time or date",
        "fold": "first, sum or count, where rows are grouped",
    }
    found = node.fields(known)
    fold = Fold(found["fold"].choice(*Fold)) if "fold" in found else Fold.FIRST
    if fold != Fold.FIRST and not grouped:
        raise found["fold"].mistake("has a meaning only with `group_by`")
    if fold == Fold.COUNT:
        for extra in ("column", "kind"):
            if extra in found:
                raise found[extra].mistake("a count takes no column: it counts the rows")
        return Property(key.text(), Kind.NUMBER, "", fold)
    for name in ("column", "kind"):
        if name not in found:
            raise node.mistake(f"{name!r} is missing: {known[name]}")
    kind = Kind(found["kind"].choice(*CELL_KINDS))
    if fold == Fold.SUM and kind != Kind.NUMBER:
        raise found["kind"].wrong("number, since it is summed")
    return Property(key.text(), kind, found["column"].text(), fold)


def _filters(node: Node | None) -> tuple[Filter, ...]:
    return () if node is None else tuple(_filter(entry) for entry in node.entries())


def _filter(node: Node) -> Filter:
    known = {
        "column": "the column that is looked at",
        "in": "values that pass",
        "not_in": "values that do not pass",
        "present": "true where any value passes, false where only an empty cell does",
    }
    found = node.fields(known, ("column",))
    conditions = [key for key in found if key != "column"]
    if len(conditions) != 1:
        raise node.mistake("expected one of `in`, `not_in` and `present` beside `column`")
    column, condition = found["column"].text(), Condition(conditions[0])
    value = found[condition.value]
    if condition == Condition.PRESENT:
        return Filter(column, condition, frozenset({"yes"} if value.flag() else ()))
    return Filter(column, condition, frozenset(entry.text() for entry in value.entries()))


def _delimiter(node: Node | None) -> str:
    if node is None:
        return ","
    if len(node.text()) != 1:
        raise node.wrong("one character")
    return node.text()
