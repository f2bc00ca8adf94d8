"""The names that a schema may give, so that every rule can say them and each means one thing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from segcore.rule import Kind

NAME_MAX = 64
"""Characters in a name: what one line of an error message can show."""

FIELDS_MAX = 4_000
"""Attributes of a workspace, and properties of all its event types: half of what a protobuf message
holds, into which CEL's environment puts them."""

EVENT_FIELDS: Mapping[str, Kind] = {
    "id": Kind.TEXT,
    "type": Kind.TEXT,
    "occurred_at": Kind.TIME,
    "received_at": Kind.TIME,
}
"""What every event has, whatever its type."""

ITEM_FIELDS: Mapping[str, Kind] = {
    "sku": Kind.TEXT,
    "category": Kind.TEXT,
    "brand": Kind.TEXT,
    "price": Kind.NUMBER,
    "quantity": Kind.NUMBER,
}
"""What every line item has."""

KEYWORDS = frozenset(("in", "true", "false", "null"))
"""Words that CEL does not take for a name behind a dot. Its other reserved words are fine there."""

_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EVENT_TYPE = re.compile(r"[a-z0-9_.\-]+")


def name_mistake(name: str) -> str | None:
    """Return what is expected of the name of an attribute or property, or None where it is fine.

    >>> name_mistake("loyalty.tier") is None
    True
    """
    if not 1 <= len(name) <= NAME_MAX:
        return f"a name of 1 to {NAME_MAX} characters"
    for part in name.split("."):
        if not _PART.fullmatch(part):
            return "parts of a-z, A-Z, 0-9 and _ between dots, none of which starts with a digit"
        if part in KEYWORDS:
            return f"no part `{part}`: it is a word of the rule language"
    return None


def event_type_mistake(name: str) -> str | None:
    """Return what is expected of the name of an event type, or None where it is fine."""
    if not 1 <= len(name) <= NAME_MAX or not _EVENT_TYPE.fullmatch(name):
        return f"1 to {NAME_MAX} characters of a-z, 0-9, `_`, `-` and `.`"
    return None


def groups(name: str) -> Iterator[str]:
    """Return the groups that a name is in: what stands before each of its dots.

    A group is never a name itself: `profile.loyalty` cannot be a value and a group at once.

    >>> list(groups("loyalty.card.tier"))
    ['loyalty', 'loyalty.card']
    """
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))
