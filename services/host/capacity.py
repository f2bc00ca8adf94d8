"""What the state of segmentation takes, estimated from what its parts cost.

The costs are those of the kernels' layouts, with what tables keep free; `tests/host` holds the
estimate to an engine that is filled.
"""

from __future__ import annotations

from dataclasses import dataclass

EVENT_BYTES = 56
"""Of an event in its table and in the spine: person, origin, two instants, places, type."""
EVENT_ID_BYTES = 36
"""Of its id: a UUID in text."""
PROPERTY_BYTES = 8
ITEM_BYTES = 36
"""Of a line: SKU, category, brand, price, quantity, and its place."""
KNOWN_ID_BYTES = 12
"""Of an id in the table that tells repeated events: a hash, and the room that tables keep free."""
ATTRIBUTE_BYTES = 8
"""Of an attribute's value, for everybody: a code, an instant or a number, and its stamp."""
CHANGE_BYTES = 40
"""Of its change in the journal: person, name, value, instant, arrival, origin, the one before."""
PROFILE_BYTES = 24
"""Of a person: who the person is now, the newest event, the last transition's number."""
WINDOW_BYTES = 56
"""Of a person in a window or a count: a cell, one or two rows' times, and a timer."""
RECORD_BYTES = 69
"""Of when and why a person entered or left an audience by something of the person's own: two times,
version, cause, and the id of the event in text."""
BITS_OF_ATOM = 1.5
"""For each person and audience: the audience's bit, and its share of those of its clauses."""


@dataclass(frozen=True, slots=True)
class Load:
    """What there is of a business. `windows` are the different counts and sums of all rules.

    Of the people `active_share` has something in a window at one time, and `moved_share` ever
    entered or left an audience by something of their own.
    """

    profiles: int
    events: int
    audiences: int
    windows: int
    active_share: float
    moved_share: float
    attributes: int
    properties: int
    items: float


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one kind of state."""

    kind: str
    resident: float
    mapped: float = 0.0


def needs(load: Load) -> list[Need]:
    """Return what each kind of state takes, the largest first."""
    people, events = load.profiles, load.events
    event = EVENT_BYTES + EVENT_ID_BYTES + load.properties * PROPERTY_BYTES
    found = [
        Need("history", 0, events * (event + load.items * ITEM_BYTES)),
        Need("ids of events", events * KNOWN_ID_BYTES),
        Need("people", people * PROFILE_BYTES),
        Need(
            "attributes",
            people * load.attributes * ATTRIBUTE_BYTES,
            people * load.attributes * CHANGE_BYTES,
        ),
        Need("counts and windows", people * load.active_share * load.windows * WINDOW_BYTES),
        Need("members", people * load.audiences * BITS_OF_ATOM / 8),
        Need("when and why", people * load.moved_share * load.audiences * RECORD_BYTES),
    ]
    return sorted(found, key=lambda each: -each.resident - each.mapped)
