"""Expectations about memberships, now and over the run."""

from __future__ import annotations

from tests.scenarios.cel import resource_id
from tests.scenarios.people import People
from tests.scenarios.record import Record
from tests.scenarios.scenario import Definition
from tests.scenarios.telling import Told
from tests.scenarios.times import shown
from tests.scenarios.verdict import Verdict, judged, not_yet
from tests.scenarios.window import Window, wrong_count


async def member(people: People, told: Told, body: Definition) -> Verdict:
    missing = told.missing_segments.get(body["segment"])
    if missing is not None:
        return not_yet(missing)
    found = await people.is_member(body["who"], body["segment"])
    return judged(holds=found == body["is"], found=found)


def changed(record: Record, body: Definition, *, entered: bool) -> Verdict:
    """Judge `entered` and `exited`: by the history of the whole run."""
    missing = record.told.missing_segments.get(body["segment"])
    if missing is not None:
        return not_yet(missing)
    changes = [
        each.at_ms
        for each in record.changes.get(record.person(body["who"]), ())
        if each.segment_id == resource_id(body["segment"]) and each.entered == entered
    ]
    window = Window.of(body)
    count = sum(map(window.holds, changes))
    found = ", ".join(map(shown, changes)) or "never"
    return judged(holds=not wrong_count(body, count), found=found)
