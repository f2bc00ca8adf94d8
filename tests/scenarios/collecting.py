"""Reads from outside what a run has brought about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coterie.messaging.v1 import message_pb2
from coterie.profile.v1 import profile_pb2
from coterie.type.v1 import identity_pb2
from coterie.type.v1 import message_pb2 as message_type
from services.host.client import Client
from tests.scenarios.faults import ScenarioError
from tests.scenarios.history import Change, Merge, merges_of, transitions, united
from tests.scenarios.people import People
from tests.scenarios.record import Arrival, Record, Sending
from tests.scenarios.scenario import Scenario
from tests.scenarios.telling import Told

Identifier = tuple[str, str]


async def collect(
    client: Client, people: People, scenario: Scenario, told: Told, arrived: Sequence[Arrival]
) -> Record:
    """Return everything that happened. Raises ScenarioError where messages do not add up."""
    wanted = sorted(set(_identifiers(scenario)))
    found = await people.resolve(*({namespace: value} for namespace, value in wanted))
    profiles = dict(zip(wanted, found, strict=True))
    persons = {each for each in profiles.values() if each}
    merges = await merges_of(people, persons)
    became = {each.merged: each.into for found in merges.values() for each in found}
    instances = await people.instances()
    for instance in instances:
        instance.profile_id = became.get(instance.profile_id, instance.profile_id)
    messages = await people.messages()
    for message in messages:
        message.profile_id = became.get(message.profile_id, message.profile_id)
    return Record(
        scenario=scenario,
        told=told,
        profiles=profiles,
        instances=instances,
        sendings=_sendings(messages, arrived),
        changes=await _changes(client, scenario, merges),
        events=await _events(people, told, persons),
        zones=_zones(scenario, profiles),
    )


async def _changes(
    client: Client, scenario: Scenario, merges: Mapping[int, Sequence[Merge]]
) -> dict[int, list[Change]]:
    if not scenario.segments and not scenario.published:
        return {}
    found = await transitions(client)
    return {person: united(person, merged, found) for person, merged in merges.items()}


async def _events(
    people: People, told: Told, persons: set[int]
) -> dict[int, list[profile_pb2.TimelineEvent]]:
    """Return the events of all people, where a journey that was not told may begin with one."""
    if not told.missing_journeys:
        return {}
    return {each: await people.events(identity_pb2.Who(profile_id=each)) for each in persons}


def _sendings(messages: Sequence[message_pb2.Message], arrived: Sequence[Arrival]) -> list[Sending]:
    """Match what was sent with what arrived, by the message's id."""
    by_id = {each.message_id: each for each in arrived}
    if len(by_id) < len(arrived):
        raise ScenarioError("a provider was given one message twice")
    sendings = []
    for message in messages:
        arrival = by_id.pop(message.name.partition("/")[2], None)
        sent = message.state == message_type.MESSAGE_STATE_SENT
        if sent != (arrival is not None):
            state = message_type.MessageState.Name(message.state)
            raise ScenarioError(f"{message.name} is {state}, but arrived: {arrival is not None}")
        sendings.append(Sending(message, arrival, _decided_ms(message)))
    if by_id:
        raise ScenarioError(f"a provider was given messages that nobody knows: {sorted(by_id)}")
    return sendings


def _decided_ms(message: message_pb2.Message) -> int:
    for name in ("send_time", "decide_time", "intend_time"):
        if message.HasField(name):
            return int(getattr(message, name).ToMilliseconds())
    return 0


def _zones(scenario: Scenario, profiles: Mapping[Identifier, int]) -> dict[int, frozenset[str]]:
    """Return every zone that a person has had; the scenario's where it came before their own."""
    zones: dict[int, set[str]] = {}
    for each in scenario.inputs:
        if each.kind not in ("profile", "event", "consent"):
            continue
        told = each.body["set"].get("zone") if each.kind == "profile" else None
        for person in {profiles.get(one, 0) for one in each.body["ids"].items()} - {0}:
            if told:
                zones.setdefault(person, set()).add(told)
            else:
                zones.setdefault(person, {scenario.zone})
    return {person: frozenset(found) for person, found in zones.items()}


def _identifiers(scenario: Scenario) -> Iterator[Identifier]:
    for each in scenario.inputs:
        yield from each.body.get("ids", {}).items()
        yield from (one for ids in each.body.get("members", ()) for one in ids.items())
    for claim in scenario.claims:
        yield from _named(claim.body)


def _named(body: Any) -> Iterator[Identifier]:
    """Return the people that an expectation names: `who`, or its whole list."""
    if isinstance(body, list):
        for ids in body:
            yield from ids.items()
    else:
        yield from body.get("who", {}).items()
