"""The words of the rule language: those that work now and later, and the nearest to a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from services.kit.rules.errors import NAME_SHOWN, shown

TYPES_MAX = 16
"""Event types that one `events` or `items` names: as many as CEL is told of."""

DURATIONS = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000}
"""Functions that make a duration of a whole number, with their milliseconds."""

FOLDS = frozenset(("exists", "count", "sum"))
TEXT_TESTS = frozenset(("startsWith", "endsWith", "contains"))
ROOTS = ("profile", "event", "item")

FUNCTIONS = frozenset(("events", "items", "audience", "has", "timestamp", "duration", *DURATIONS))
METHODS = frozenset(("where", "last", *FOLDS, *TEXT_TESTS))

INSTANCE_NAMES = frozenset(("trigger", "entry", "key"))
INSTANCE_FUNCTIONS = frozenset(("catalog",))
INSTANCE = INSTANCE_NAMES | INSTANCE_FUNCTIONS
"""What conditions of journeys have beside, and rules of audiences never."""

LATER_FUNCTIONS = frozenset(("anniversary", "age", "bucket"))
LATER_METHODS = frozenset(
    (
        *("olderThan", "between", "since", "calendarDays", "min", "max", "avg", "distinct"),
        *("latest", "earliest", "followedBy", "notFollowedBy", "by"),
    )
)
LATER = LATER_FUNCTIONS | LATER_METHODS
"""What the language will have. Saying so helps more than `unknown`.

`since` is among them: only conditions of journeys have it, and only from their own instants on.
"""

FOREIGN = frozenset(
    (
        *("size", "matches", "all", "exists_one", "map", "filter", "int", "uint", "double"),
        *("string", "bytes", "bool", "dyn", "type", "split", "lowerAscii", "upperAscii"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear"),
        *("getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds"),
    )
)
"""What CEL has elsewhere and rules leave out."""


def unknown(noun: str, name: str, known: Iterable[str], of: str = "") -> str:
    """Return the sentence for a name that is not there, with the nearest of those that are.

    >>> unknown("attribute", "loyalty.teir", ["loyalty.tier", "city"])
    'unknown attribute `loyalty.teir`; did you mean `loyalty.tier`?'
    """
    near = nearest(name, known)
    if not near:
        return f"unknown {noun} {shown(name)}{of}"
    listed = " or ".join(f"`{n}`" for n in near)
    return f"unknown {noun} {shown(name)}{of}; did you mean {listed}?"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that resemble `name`, the likeliest first.

    A name that is longer than any of ours is compared with none: the comparison is quadratic.
    """
    if len(name) > NAME_SHOWN:
        return []
    by_folded = {k.casefold(): k for k in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.65)
    return [by_folded[f] for f in found]
