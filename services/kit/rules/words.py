"""The words of the rule language, and the nearest to a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from services.kit.rules.errors import NAME_SHOWN, shown

TYPES_MAX = 16
"""Event types that one `events` or `items` names: as many as CEL is told of."""

DURATIONS = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000}
"""Functions that make a duration of a whole number, with their milliseconds."""

FOLDS = frozenset(("exists", "count", "sum", "min", "max", "avg", "distinct", "latest", "earliest"))
SEQUENCES = frozenset(("followedBy", "notFollowedBy"))
NARROWING = SEQUENCES | {"where", "last", "olderThan", "between", "since", "calendarDays", "by"}
"""What keeps some of the rows."""

TEXT_TESTS = frozenset(("startsWith", "endsWith", "contains"))
TEXT_FORMS = frozenset(("lowerAscii", "upperAscii"))
PERSON_FUNCTIONS = frozenset(("audience", "age", "anniversary", "bucket"))
"""What speaks of the person, never of a row."""

FUNCTIONS = frozenset(
    ("events", "items", "has", "size", "timestamp", "date", "duration", *DURATIONS)
).union(PERSON_FUNCTIONS)
METHODS = FOLDS | NARROWING | TEXT_TESTS | TEXT_FORMS

INSTANCE_NAMES = frozenset(("trigger", "entry", "key"))
INSTANCE_FUNCTIONS = frozenset(("catalog",))
INSTANCE = INSTANCE_NAMES | INSTANCE_FUNCTIONS
"""What conditions of journeys have beside, and rules of audiences never."""

FOREIGN = frozenset(
    (
        *("matches", "all", "exists_one", "map", "filter", "int", "uint", "double"),
        *("string", "bytes", "bool", "dyn", "type", "split"),
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
