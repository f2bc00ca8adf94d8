"""How far a run is exact for a person: until what the product was not told could have acted.

What was not told acts first where an untold journey could be entered, where an instance reaches a
step that was cut, and where a message goes at an instant at which the policy, of which the product
knows nothing yet, would have held it back. What comes before that instant is as if all had been
told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from coterie.journey.v1 import journey_pb2
from tests.scenarios.bounds import NEVER_MS, first_entry_ms
from tests.scenarios.cel import resource_id
from tests.scenarios.journeys import campaigns
from tests.scenarios.policy import Policy
from tests.scenarios.record import Record
from tests.scenarios.verdict import Verdict, not_yet


@dataclass(frozen=True, slots=True, order=True)
class Horizon:
    """The first instant at which a run may differ from the whole scenario, and why."""

    at_ms: int
    reason: str = ""

    def verdict(self) -> Verdict:
        return not_yet(self.reason)


EXACT = Horizon(NEVER_MS)


class Horizons:
    """Finds, for people and journeys, how far a run is exact."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._journeys = record.scenario.journeys

    @cached_property
    def policy(self) -> Policy:
        return Policy(self._record.scenario.policy, self._record.scenario.zone)

    def of_journey(self, person: int, name: str) -> Horizon:
        """Return how far all of one journey is exact for a person."""
        if name not in self._journeys:
            return EXACT
        return self._of(person, {name})

    def of_campaign(self, person: int, campaign: str | None, purpose: str | None) -> Horizon:
        """Return how far the messages of a campaign and a purpose are exact; None means any."""
        return self._of(person, set(self._senders(campaign, purpose)))

    def _of(self, person: int, names: set[str]) -> Horizon:
        sources = [each for name in names for each in self._sources(person, name)]
        if self.policy.couples:
            sources += self._coupled(person, names)
        return min(sources, default=EXACT)

    def _coupled(self, person: int, names: set[str]) -> Iterator[Horizon]:
        """Yield when messages of these journeys could first be held back for those of others.

        That is the first of them at which any marketing journey is no longer exact: a journey
        that sends nothing from then on has nothing that could be held back.
        """
        marketing = {name for name in self._journeys if self._is_marketing(name)}
        others = [each for name in marketing for each in self._sources(person, name)]
        if others:
            first = min(others)
            ids = {resource_id(name) for name in names & marketing}
            for each in self._record.sendings_to(person):
                if each.journey_id in ids and each.at_ms >= first.at_ms:
                    yield Horizon(each.at_ms, first.reason)

    def _senders(self, campaign: str | None, purpose: str | None) -> Iterator[str]:
        for name, definition in self._journeys.items():
            for sent, of_purpose in campaigns(definition):
                if campaign in (None, sent) and purpose in (None, of_purpose):
                    yield name

    def _is_marketing(self, name: str) -> bool:
        return any(purpose == "marketing" for _, purpose in campaigns(self._journeys[name]))

    def _sources(self, person: int, name: str) -> Iterator[Horizon]:
        told = self._record.told
        if name in told.missing_journeys:
            reason = told.missing_journeys[name]
            yield Horizon(first_entry_ms(self._record, person, self._journeys[name]), reason)
            return
        plan = told.plans[name]
        for instance in self._record.instances_of(person, plan.journey_id):
            if _completed(instance) and instance.step in plan.cuts:
                yield Horizon(instance.end_time.ToMilliseconds(), plan.cuts[instance.step])
        held_ms = self._held_back_ms(person, plan.journey_id)
        if held_ms is not None:
            yield Horizon(held_ms, "quiet hours, gaps and caps")

    def _held_back_ms(self, person: int, journey_id: str) -> int | None:
        """Return when the policy would first have held back a message of the journey."""
        marketing = [
            each for each in self._record.sendings_to(person) if each.purpose == "marketing"
        ]
        held = self.policy.held_back(
            ((each.at_ms, each.sent) for each in marketing),
            self._record.zones.get(person, frozenset()),
        )
        own = (each.at_ms for each in marketing if each.journey_id == journey_id)
        return min((at_ms for at_ms in own if at_ms in held), default=None)


def _completed(instance: journey_pb2.Instance) -> bool:
    return instance.end_reason == journey_pb2.END_REASON_COMPLETED
