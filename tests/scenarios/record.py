"""What a run has brought about, as it is read from outside when all is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coterie.journey.v1 import journey_pb2
from coterie.messaging.v1 import message_pb2
from coterie.profile.v1 import profile_pb2
from coterie.type.v1 import message_pb2 as message_type
from tests.scenarios.history import Change
from tests.scenarios.scenario import Scenario
from tests.scenarios.telling import Told

Ids = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as a provider took it."""

    message_id: str
    channel: str
    address: str
    text: str


@dataclass(frozen=True, slots=True)
class Sending:
    """One message: what was asked for, and what arrived. `at_ms` is when that was decided."""

    message: message_pb2.Message
    arrival: Arrival | None
    at_ms: int

    @property
    def sent(self) -> bool:
        return self.arrival is not None

    @property
    def campaign(self) -> str:
        return self.message.campaign

    @property
    def purpose(self) -> str:
        marketing = self.message.purpose == message_type.PURPOSE_UNSPECIFIED
        return "marketing" if marketing else "transactional"

    @property
    def journey_id(self) -> str:
        return self.message.journey.split("/")[1]


@dataclass(frozen=True)
class Record:
    """Everything that happened in one run."""

    scenario: Scenario
    told: Told
    profiles: Mapping[tuple[str, str], int]
    """The profile of each identifier that the timeline or an expectation names."""
    instances: Sequence[journey_pb2.Instance]
    sendings: Sequence[Sending]
    changes: Mapping[int, Sequence[Change]]
    """Of each profile, its entries into and exits from segments."""
    events: Mapping[int, Sequence[profile_pb2.TimelineEvent]]
    zones: Mapping[int, frozenset[str]]
    """Of each profile, every zone that it has had."""

    def person(self, ids: Ids) -> int:
        """Return the profile of the first identifier, 0 where nobody has it."""
        return self.profiles.get(next(iter(ids.items()), ("", "")), 0)

    def people(self) -> set[int]:
        return {each for each in self.profiles.values() if each}

    def sendings_to(self, person: int) -> Iterator[Sending]:
        return (each for each in self.sendings if each.message.profile_id == person)

    def instances_of(self, person: int, journey_id: str) -> Iterator[journey_pb2.Instance]:
        prefix = f"journeys/{journey_id}/"
        return (
            each
            for each in self.instances
            if each.profile_id == person and each.name.startswith(prefix)
        )
