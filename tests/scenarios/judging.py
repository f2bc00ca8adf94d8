"""Which expectation is judged how and when; those of services that are not there yet are named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from tests.scenarios.claims_journeys import journey
from tests.scenarios.claims_messages import Messages
from tests.scenarios.claims_people import Events, attribute, different_profiles, same_profile
from tests.scenarios.claims_segments import changed, member
from tests.scenarios.horizon import Horizons
from tests.scenarios.people import People
from tests.scenarios.record import Record
from tests.scenarios.scenario import Claim, Scenario
from tests.scenarios.telling import Told
from tests.scenarios.verdict import Verdict, fails, not_yet

MISSING = {
    "page": "decisioning: content for pages",
    "recommend": "decisioning: recommendations",
    "search": "decisioning: search",
    "score": "decisioning: scores",
    "offer": "decisioning: offers",
    "credit": "analytics: attribution",
    "report": "analytics: reports",
    "destination": "exports to destinations",
}
READ = (
    *("member", "journey", "attribute", "same_profile", "different_profiles"),
    *("event_primary", "event_owner", "event_count"),
)
"""Expectations that are read at their instant; the others are judged by all that happened."""


WRONG = (LookupError, TypeError, ValueError, AttributeError)
"""What an expectation brings about that is not of the form that its kind has."""


class Reader:
    """Reads the expectations that speak of one instant, while it lasts."""

    def __init__(self, scenario: Scenario, people: People, told: Told) -> None:
        events = Events(scenario)
        self._readers: Mapping[str, Callable[[Any], Awaitable[Verdict]]] = {
            "member": partial(member, people, told),
            "journey": partial(journey, people, told),
            "attribute": partial(attribute, people),
            "same_profile": partial(same_profile, people),
            "different_profiles": partial(different_profiles, people),
            "event_primary": partial(events.primary, people),
            "event_owner": partial(events.owner, people),
            "event_count": partial(events.count, people),
        }

    async def read(self, claim: Claim) -> Verdict:
        try:
            return await self._readers[claim.kind](claim.body)
        except WRONG as error:
            return _not_understood(error)


class Judge:
    """Judges all expectations when a run is over. `read` has what was read on the way."""

    def __init__(self, record: Record, read: Mapping[int, Verdict]) -> None:
        self._record, self._read = record, read
        self._horizons = Horizons(record)
        messages = Messages(record, self._horizons)
        self._judges: Mapping[str, Callable[[Any], Verdict]] = {
            "entered": partial(changed, record, entered=True),
            "exited": partial(changed, record, entered=False),
            "sent": messages.sent,
            "not_sent": messages.not_sent,
            "suppressed": messages.suppressed,
            "sent_total": messages.sent_total,
            "max_messages": messages.max_messages,
        }

    def judge(self, claim: Claim) -> Verdict:
        if claim.kind in MISSING:
            return not_yet(MISSING[claim.kind])
        if claim.kind == "journey":
            return self._journey(claim)
        if claim.kind in READ:
            return self._read[claim.index]
        if claim.kind in self._judges:
            try:
                return self._judges[claim.kind](claim.body)
            except WRONG as error:
                return _not_understood(error)
        return fails(f"unknown kind of expectation {claim.kind!r}")

    def _journey(self, claim: Claim) -> Verdict:
        """What was read of a journey is evidence where the horizon of the person lies after it."""
        person = self._record.person(claim.body["who"])
        horizon = self._horizons.of_journey(person, claim.body["name"])
        at_ms = self._record.scenario.end_ms if claim.at_ms is None else claim.at_ms
        return horizon.verdict() if horizon.at_ms <= at_ms else self._read[claim.index]


def _not_understood(error: Exception) -> Verdict:
    return fails(f"the expectation is not understood: {type(error).__name__}: {error}")
