"""The small pools from which everything is drawn, so that values meet."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from segcore.calendar import DAY_MS, day_of, first_ms, zone_named
from segcore.micro import INT64_MAX
from segcore.rule import MICRO, Kind

TYPES = ("view", "buy", "back")
TEXTS = ("", "x", "xy", "XY", "yx", "é", "z\U0001f600", "\uffff")
LISTS = ((), ("x",), ("x", "xy"), ("",), ("é", "x"))
NUMBERS = (-2.5, -1.0, 0.0, 0.000001, 0.5, 1.0, 1.5, 3.0, 399.99, 8_999_999_999.999999)
TIMES = (-3, 0, 1, 15, 40, 50, 51, 60, 75)
WINDOWS = (1, 3, 4, 10, 25)
SPANS = (-4, 0, 1, 3, 10, 25, 40)
ZONES = ("Europe/Paris", "America/New_York", "Pacific/Kiritimati", "Nowhere/At_All")
NAMES = {
    "n": Kind.NUMBER,
    "t": Kind.TEXT,
    "f": Kind.FLAG,
    "w": Kind.TIME,
    "d": Kind.DATE,
    "l": Kind.TEXTS,
    "sku": Kind.TEXT,
    "zone": Kind.TEXT,
}
"""The attributes, and the properties of each type of event."""

DAYS = (
    date(1969, 12, 31),
    date(1970, 1, 1),
    date(1969, 1, 1),
    date(1968, 2, 29),
    date(2000, 2, 28),
    date(2000, 3, 26),
    date(1996, 10, 26),
)
"""Dates of birth and such: of days near the epoch, and of those of `day_instants`."""

VALUES: dict[Kind, SearchStrategy[Any]] = {
    Kind.NUMBER: st.sampled_from(NUMBERS),
    Kind.TEXT: st.sampled_from(TEXTS),
    Kind.FLAG: st.booleans(),
    Kind.TIME: st.sampled_from(TIMES),
    Kind.DATE: st.sampled_from(DAYS),
    Kind.TEXTS: st.sampled_from(LISTS),
}
"""Values as they stand in histories."""

MICROS = (*(round(number * 1e6) for number in NUMBERS), 2 * MICRO, 7, INT64_MAX)

LITERALS: dict[Kind, SearchStrategy[Any]] = {
    **VALUES,
    Kind.NUMBER: st.sampled_from(MICROS),
    Kind.DATE: st.sampled_from([day.toordinal() - date(1970, 1, 1).toordinal() for day in DAYS]),
    Kind.SPAN: st.sampled_from(SPANS),
}
"""Values as they stand in rules."""


def _edges() -> list[int]:
    found: list[int] = []
    days = [
        (2000, 3, 26),
        (2000, 10, 29),
        (2000, 4, 2),
        (2000, 2, 28),
        (2000, 2, 29),
        (2001, 2, 28),
    ]
    for name in ZONES[:2]:
        zone = zone_named(name)
        assert zone is not None
        for day in days:
            found += [first_ms(day_of(*day) + step, zone) for step in (0, 1)]
    return found


DAY_EDGES = tuple(_edges())
"""First instants of local days, of 23, 24 and 25 hours, and around 29 February."""


def day_instants() -> SearchStrategy[int]:
    """Draw instants at and just beside the edges of local days, or some days later."""
    near = st.sampled_from((-1, 0, 0, 1, 3_600_000))
    return st.builds(
        lambda edge, step, days: edge + step + days * DAY_MS,
        st.sampled_from(DAY_EDGES),
        near,
        st.sampled_from((0, 0, 0, 1, 2)),
    )


zones = st.sampled_from(ZONES)
