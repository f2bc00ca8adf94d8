"""Finds out through the gRPC API what became of the shoppers, and tells each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from coterie.journey.v1 import journey_pb2, journey_service_pb2
from coterie.messaging.v1 import message_pb2, messaging_service_pb2
from coterie.segmentation.v1 import audience_pb2, segmentation_service_pb2
from coterie.type.v1 import change_pb2
from coterie.type.v1 import message_pb2 as message_types
from services.host.client import Client
from services.host.demo.story import Person

CAMPAIGN = "in_store_nudge"
"""As the journey's file says."""
CAUSES = {
    audience_pb2.CAUSE_CLOCK: "by time alone",
    audience_pb2.CAUSE_EVENT: "at once",
}
END_REASONS = {
    journey_pb2.END_REASON_COMPLETED: "her journey is complete",
    journey_pb2.END_REASON_EXIT_RULE: "her journey ends here: the exit rule holds",
    journey_pb2.END_REASON_EXPIRED: "her journey expires",
}


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One thing that became of somebody."""

    at_ms: int
    rank: int
    words: str


class Diary:
    """Asks after each scene; `tell` hears what is new, in order of time."""

    def __init__(
        self,
        client: Client,
        audience: str,
        journey: str,
        people: Sequence[Person],
        tell: Callable[[int, str], None],
    ) -> None:
        self._client = client
        self._audience = audience
        self._journey = journey
        self._people = people
        self._tell = tell
        self._told: set[Entry] = set()

    async def look(self) -> None:
        """Tell what is new."""
        found = await asyncio.gather(*(self._of(person) for person in self._people))
        fresh = {entry for entries in found for entry in entries} - self._told
        for entry in sorted(fresh):
            self._tell(entry.at_ms, entry.words)
        self._told |= fresh

    async def messages(self, person: Person) -> list[message_pb2.Message]:
        """Return the story's messages to somebody, the latest first: others have their own."""
        request = messaging_service_pb2.ListMessagesRequest(who=person.who, campaign=CAMPAIGN)
        return list((await self._client.messaging.ListMessages(request)).messages)

    async def instances(self, person: Person) -> list[journey_pb2.Instance]:
        """Return somebody's ways through the journey, the latest entry first."""
        request = journey_service_pb2.ListInstancesRequest(journey=self._journey, who=person.who)
        return list((await self._client.journey.ListInstances(request)).instances)

    async def membership(self, person: Person) -> audience_pb2.Membership:
        """Return whether somebody is in the audience."""
        request = segmentation_service_pb2.GetMembershipRequest(
            audience=self._audience, who=person.who
        )
        return (await self._client.segmentation.GetMembership(request)).membership

    async def _of(self, person: Person) -> list[Entry]:
        try:
            return await self._known(person)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return []  # nothing has happened to anybody of that name yet

    async def _known(self, person: Person) -> list[Entry]:
        membership, instances, messages = await asyncio.gather(
            self.membership(person), self.instances(person), self.messages(person)
        )
        entries = _of_membership(person, membership)
        for instance in instances:
            entries += _of_instance(person, instance)
        for message in messages:
            entries += _of_message(person, message)
        return entries


def _of_membership(person: Person, membership: audience_pb2.Membership) -> list[Entry]:
    name = membership.audience.partition("/")[2]
    if membership.member:
        return [_entry(membership.enter_time, 1, f"   {person.name} enters the audience {name}")]
    if membership.HasField("exit_time"):
        how = CAUSES.get(membership.cause, "")
        words = f"   {person.name} leaves the audience {how}"
        return [_entry(membership.exit_time, 1, words)]
    return []


def _of_instance(person: Person, instance: journey_pb2.Instance) -> list[Entry]:
    journey = instance.name.split("/")[1]
    words = f"   {person.name} starts on the journey {journey} and waits"
    entries = [_entry(instance.enter_time, 2, words)]
    if instance.state == journey_pb2.INSTANCE_STATE_ENDED:
        how = END_REASONS.get(instance.end_reason, "her journey ends")
        entries.append(_entry(instance.end_time, 5, f"   {person.name}: {how}"))
    return entries


def _of_message(person: Person, message: message_pb2.Message) -> list[Entry]:
    if message.state == message_types.MESSAGE_STATE_SENT:
        channel = change_pb2.Channel.Name(message.channel).removeprefix("CHANNEL_")
        words = f"   {channel} to {person.name}, {message.address}: {message.content.text}"
        return [_entry(message.send_time, 4, words)]
    if message.reason:
        state = message_types.MessageState.Name(message.state).removeprefix("MESSAGE_STATE_")
        words = f"   no message to {person.name}: {state.lower()}, {message.reason}"
        return [_entry(message.decide_time, 4, words)]
    return []


def _entry(time: Timestamp, rank: int, words: str) -> Entry:
    return Entry(time.ToMilliseconds(), rank, words)
