"""The requests of a run as bytes: each a function of seed, run, mix and its own number.

No time is in them: events happen when they are received. Maps are written in order of their keys.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import event_pb2, identity_pb2
from services.host.load.draws import Draws
from services.host.load.mix import PROBE_EVENT, Mix, audience_id
from services.kit.names import audience_name

PEOPLE, EVENTS, READS = 1, 2, 3
"""Streams of draws; those of arrivals follow."""
INGEST_ARRIVALS, READ_ARRIVALS, PROBE_ARRIVALS = 11, 12, 13
MOST_AUDIENCES = 100
"""As many as one call asks about."""


@dataclass(frozen=True)
class Requests:
    """Makes the requests of one seed and run."""

    mix: Mix
    seed: int
    run: str
    profiles: int
    audiences: int

    @property
    def name(self) -> str:
        """What the run is called in the ids of its events."""
        return f"load-{self.seed}-{self.run}"

    def person(self, number: int) -> identity_pb2.Identity:
        """Return the identifier of a person; the same for all runs of a seed."""
        return identity_pb2.Identity(
            namespace=self.mix.namespace, value=f"load-{self.seed}-{number}"
        )

    def newcomer(self, what: str) -> identity_pb2.Identity:
        """Return the identifier of a person whom nothing but this run speaks of."""
        return identity_pb2.Identity(namespace=self.mix.namespace, value=f"{self.name}-{what}")

    def people(self, first: int, end: int) -> bytes:
        """Return the batch that gives people `first` to before `end` their attributes."""
        request = profile_pb.IngestBatchRequest()
        for number in range(first, end):
            made = request.inputs.add().attributes
            made.change_id = f"load-{self.seed}-{number}-attributes"
            made.change.identities.append(self.person(number))
            draws = Draws(self.seed, PEOPLE, number)
            for name, spec in self.mix.attributes:
                spec.fill(made.change.attributes[name], draws, 0.0)
        return request.SerializeToString(deterministic=True)

    def batch(self, number: int, size: int) -> bytes:
        """Return batch `number` of `size` events."""
        request = profile_pb.IngestBatchRequest()
        for index in range(number * size, (number + 1) * size):
            self._fill(request.inputs.add().event, index)
        return request.SerializeToString(deterministic=True)

    def probe(self, number: int) -> bytes:
        """Return the batch of one event that makes a new person a member of the probes."""
        return self._news(f"probe-{number}")

    def hello(self, number: int) -> bytes:
        """Return such a batch from before the run, which is not measured."""
        return self._news(f"hello-{number}")

    def probe_id(self, number: int) -> str:
        """Return the id of a probe's event."""
        return f"{self.name}-probe-{number}"

    def read(self, number: int) -> bytes:
        """Return a question whether some person is in some audience."""
        draws = Draws(self.seed, READS, number)
        audience = audience_name(audience_id(draws.below(self.audiences)))
        who = identity_pb2.Who(identity=self.person(draws.skewed(self.profiles)))
        request = segmentation_pb.GetMembershipRequest(audience=audience, who=who)
        return request.SerializeToString(deterministic=True)

    def read_many(self, number: int, size: int, known: list[int]) -> bytes:
        """Return a question which audiences some of the profiles `known` are in."""
        draws = Draws(self.seed, READS, number)
        count = min(self.audiences, MOST_AUDIENCES)
        request = segmentation_pb.BatchCheckMembershipRequest(
            profile_ids=[known[draws.skewed(len(known))] for _ in range(size)],
            audiences=[audience_name(audience_id(each)) for each in range(count)],
        )
        return request.SerializeToString(deterministic=True)

    def _news(self, what: str) -> bytes:
        event = event_pb2.Event(
            event_id=f"{self.name}-{what}", type=PROBE_EVENT, identities=[self.newcomer(what)]
        )
        inputs = [profile_pb.IngestInput(event=event)]
        return profile_pb.IngestBatchRequest(inputs=inputs).SerializeToString(deterministic=True)

    def _fill(self, event: event_pb2.Event, index: int) -> None:
        draws = Draws(self.seed, EVENTS, index)
        place = bisect_right(self.mix.weights, draws.unit() * self.mix.weights[-1])
        spec = self.mix.events[min(place, len(self.mix.events) - 1)]
        event.event_id = f"{self.name}-{index}"
        event.type = spec.type
        event.identities.append(self.person(draws.skewed(self.profiles)))
        total = 0.0
        for _ in range(draws.between(*spec.items) if spec.items[1] else 0):
            total += self.mix.catalog.fill(event.items.add(), draws)
        for name, value in spec.properties:
            value.fill(event.properties[name], draws, round(total, 2))
