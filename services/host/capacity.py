"""What the state of segmentation takes, estimated from what its parts cost.

The costs were measured on the common workload by `tests/bench/memory.py`, with what tables keep
free; `tests/host` holds the estimate to an engine that is filled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EVENT_BYTES = 56
"""Of an event in its table and in the spine: person, origin, two instants, places, type."""
EVENT_ID_BYTES = 36
"""Of its id: a UUID in text."""
PROPERTY_BYTES = 8
ITEM_BYTES = 28
"""Of a line: SKU, category, brand, price, quantity."""
ATTRIBUTE_BYTES = 8
"""Of an attribute's value, for everybody: a code, an instant or a number, and its stamp."""
ATTRIBUTE_CHANGE_BYTES = 40
"""Of its change in the journal: person, name, value, instant, arrival, origin, the one before."""
PROFILE_BYTES = 28
"""Of a person: the newest event, attribute and change of a membership, how many of these."""
IDENTIFIER_BYTES = 12
IDENTIFIER_TEXT_BYTES = 32
"""Of an identifier that something came with: a place to find it by, and itself with its end."""
COUNT_BYTES = 65
"""Of a person in a count or sum: its times, or sum and ring, with the room that tables keep."""
RING_ROW_BYTES = 20
"""Of a row of a person in a sum, from the third on; of one in a count beyond sixteen it is 10."""
TIMER_BYTES = 11
"""Of its timer, for three in four have one."""
ROW_BITS = 1.5
"""For each person and audience: its bit in the person's row, and its share of the bits of its
clauses there; rows are of whole words."""
MEMBERS_BITS = 0.7
"""For each person and audience: who was a member when it went live, as a set."""
CHANGE_BYTES = 28
"""Of a membership that changed: person, audience, instant, cause, the one before."""
CHANGES_EACH = 0.025
"""Of an event for each audience: memberships that it changes, and that time changes after it."""


USUAL_DAYS = 90
"""The longest window of the common workload."""


def usual_share(events: float) -> float:
    """Return which share of the people has something in a count, at so many events of each.

    They are those of USUAL_DAYS. Fits what was measured from 2 to 50 events a person.

    >>> [round(usual_share(events), 3) for events in (2, 5, 20)]
    [0.017, 0.032, 0.083]
    """
    share: float = 0.0105 * events**0.69
    return min(1.0, share)


@dataclass(frozen=True, slots=True)
class Load:
    """What there is of a business. `windows` are the different counts and sums of all rules.

    Of the people `active_share` has something in one of them at one time; `changes` memberships
    change for each event, by it or by time later. Who has something in one of the `sums` among the
    windows has `rows` events in it.
    """

    profiles: int
    events: int
    audiences: int
    windows: int
    active_share: float
    changes: float
    attributes: int
    properties: int
    items: float
    identifiers: float = 1.0
    sums: int = 0
    rows: float = 2.0


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one kind of state."""

    kind: str
    resident: float
    mapped: float = 0.0


def needs(load: Load) -> list[Need]:
    """Return what each kind of state takes, the largest in memory first."""
    people, events = load.profiles, load.events
    counted = people * load.active_share * load.windows
    event = EVENT_BYTES + EVENT_ID_BYTES + load.properties * PROPERTY_BYTES
    when = events * load.changes * CHANGE_BYTES + people * load.audiences * MEMBERS_BITS / 8
    ring_rows = people * load.active_share * load.sums * max(0.0, load.rows - 2)
    values, texts = people * load.attributes, people * load.identifiers
    row_bytes = 8 * math.ceil(load.audiences * ROW_BITS / 64)
    found = [
        Need("history", 0, events * (event + load.items * ITEM_BYTES)),
        Need("people", people * PROFILE_BYTES),
        Need("identifiers", texts * IDENTIFIER_BYTES, texts * IDENTIFIER_TEXT_BYTES),
        Need("attributes", values * ATTRIBUTE_BYTES, values * ATTRIBUTE_CHANGE_BYTES),
        Need("counts and windows", counted * COUNT_BYTES),
        Need("rows of sums", ring_rows * RING_ROW_BYTES),
        Need("timers", counted * TIMER_BYTES),
        Need("members and clauses", people * (load.audiences / 8 + row_bytes)),
        Need("when and why", 0, when),
    ]
    return sorted(found, key=lambda each: (-each.resident, -each.mapped))
