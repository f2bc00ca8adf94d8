"""Reads a mix from YAML; a mistake says the line, what was found and what was expected."""

from __future__ import annotations

import importlib.resources
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from services.host.definitions.document import Node, read_document, read_file
from services.host.load.mix import (
    Catalog,
    CodeSpec,
    DateSpec,
    EventSpec,
    FlagSpec,
    Mix,
    NumberSpec,
    TextSpec,
    TextsSpec,
    TotalSpec,
    ValueSpec,
)

SHIPPED = "retailer"
MOST_TEXTS = 64
MOST_LINES = 500
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_KEYS = {
    "namespace": "the namespace of the people's identifiers",
    "attributes": "profile attributes",
    "catalog": "items with their categories, brands and prices",
    "events": "event types with their weights",
    "values": "what stands for {name} in the rules of audiences",
    "audiences": "rules; audience 1 has the first, and so on in turn",
}
_CATALOG_KEYS = {
    "skus": "how many items",
    "categories": "their categories",
    "brands": "their brands",
    "price": "least and greatest price",
}
_EVENT_KEYS = {
    "weight": "how often, beside the other types",
    "items": "least and greatest number of lines",
    "properties": "its properties",
}


def load_mix(file: Path | None) -> Mix:
    """Return the mix of a file, or the one that ships; raises DocumentError with the place."""
    if file is None:
        place = importlib.resources.files("services.host.load") / f"{SHIPPED}.yaml"
        return read_mix(f"{SHIPPED}.yaml", place.read_text(encoding="utf-8"))
    return read_mix(file.name, read_file(file))


def read_mix(file: str, text: str) -> Mix:
    """Return the mix of a text; raises DocumentError with the place of a mistake."""
    root = read_document(file, text)
    found = root.fields(_KEYS, ("attributes", "catalog", "events", "audiences"))
    values = _values(found["values"]) if "values" in found else ()
    events = tuple(_event(key, node) for key, node in found["events"].pairs())
    if len({each.type for each in events}) < max(len(events), 1):
        raise found["events"].mistake("expected at least one type of event, and each once")
    attributes = _properties(found["attributes"])
    if not attributes:
        raise found["attributes"].mistake("expected at least one attribute: it makes the people")
    rules = tuple(_rule(node, dict(values)) for node in found["audiences"].entries())
    if not rules:
        raise found["audiences"].mistake("expected at least one rule, found none")
    return Mix(
        name=file.removesuffix(".yaml"),
        namespace=found["namespace"].text() if "namespace" in found else "crm",
        attributes=attributes,
        catalog=_catalog(found["catalog"]),
        events=events,
        values=values,
        audiences=rules,
    )


def _catalog(node: Node) -> Catalog:
    found = node.fields(_CATALOG_KEYS, tuple(_CATALOG_KEYS))
    return Catalog(
        count=_whole(found["skus"], 1, 10_000_000),
        categories=_texts(found["categories"]),
        brands=_texts(found["brands"]),
        price=_bounds(found["price"]),
    )


def _event(key: Node, node: Node) -> EventSpec:
    found = node.fields(_EVENT_KEYS, ("weight",))
    weight = _number(found["weight"])
    if not 0 < weight < math.inf:
        raise found["weight"].wrong("a positive number")
    items = (0, 0)
    if "items" in found:
        least, greatest = _pair(found["items"])
        items = (_whole(least, 0, MOST_LINES), _whole(greatest, 1, MOST_LINES))
        if items[0] > items[1]:
            raise found["items"].mistake("expected the least number of lines before the greatest")
    properties = _properties(found["properties"]) if "properties" in found else ()
    return EventSpec(key.text(), weight, items, properties)


def _properties(node: Node) -> tuple[tuple[str, ValueSpec], ...]:
    return tuple((key.text(), _value(value)) for key, value in node.pairs())


def _value(node: Node) -> ValueSpec:
    """Return how a value is drawn: `total`, or one key that names its kind."""
    if not node.is_mapping():
        node.choice("total")
        return TotalSpec()
    found = node.fields(dict.fromkeys(_SPECS, "how the value is drawn"))
    if len(found) != 1:
        raise node.mistake(f"expected one of {', '.join(_SPECS)}, found {len(found)}")
    ((kind, spec),) = found.items()
    return _SPECS[kind](spec)


def _values(node: Node) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((key.text(), _texts(value)) for key, value in node.pairs())


def _rule(node: Node, values: Mapping[str, tuple[str, ...]]) -> str:
    rule = node.text()
    for name in _PLACEHOLDER.findall(rule):
        if name not in values:
            raise node.mistake(f"{{{name}}} has no entry in `values`")
    return rule


def _texts(node: Node) -> tuple[str, ...]:
    texts = tuple(each.text() for each in node.entries())
    if not 0 < len(texts) <= MOST_TEXTS:
        raise node.mistake(f"expected 1 to {MOST_TEXTS} texts, found {len(texts)}")
    return texts


def _bounds(node: Node) -> NumberSpec:
    least, greatest = map(_number, _pair(node))
    if not -1e9 <= least <= greatest <= 1e9:  # noqa: PLR2004  far below what the API takes
        raise node.mistake("expected the lesser number first, both below a billion")
    return NumberSpec(least, greatest)


def _code(node: Node) -> CodeSpec:
    prefix, count = _pair(node)
    return CodeSpec(prefix.text(), _whole(count, 1, 1_000_000_000))


def _flag(node: Node) -> FlagSpec:
    share = _number(node)
    if not 0 <= share <= 1:
        raise node.wrong("a share from 0 to 1")
    return FlagSpec(share)


def _date(node: Node) -> DateSpec:
    first, last = (_whole(each, 1, 9999) for each in _pair(node))
    if first > last:
        raise node.mistake("expected the first year before the last")
    return DateSpec(first, last)


def _pair(node: Node) -> tuple[Node, Node]:
    entries = node.entries()
    if len(entries) != 2:  # noqa: PLR2004  a pair
        raise node.mistake(f"expected two values, found {len(entries)}")
    return entries[0], entries[1]


def _number(node: Node) -> float:
    try:
        return float(node.text())
    except ValueError:
        raise node.wrong("a number") from None


def _whole(node: Node, least: int, greatest: int) -> int:
    text = node.text()
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= greatest):
        raise node.wrong(f"a whole number from {least:,} to {greatest:,}")
    return int(text)


_SPECS: Mapping[str, Callable[[Node], ValueSpec]] = {
    "text": lambda node: TextSpec(_texts(node)),
    "code": _code,
    "number": _bounds,
    "flag": _flag,
    "date": _date,
    "texts": lambda node: TextsSpec(_texts(node)),
}
