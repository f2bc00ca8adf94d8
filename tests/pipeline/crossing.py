"""People who meet across partitions: a seeded crowd, and all that can be seen of it in the end."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from pyroaring import BitMap

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.log.v1 import transitions_pb2
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import change_pb2, identity_pb2
from services.kit.ids import profile_id
from services.kit.log.sql import SqlLog
from services.kit.sql import Database
from tests.pipeline.harness import (
    DAY,
    HOUR,
    LATEST,
    NOON,
    App,
    at_ms,
    event,
    identity,
    running,
    stamp,
    value,
    who,
)

RULES = {
    "visited": 'events("store_entry").last(hours(24)).exists()',
    "spender": 'events("purchase").last(days(3)).sum(event.total) >= 100',
    "quiet": '!events("product_view").last(days(1)).exists()',
    "gold": 'profile.loyalty.tier == "gold"',
    "golden-visitor": 'audience("visited") && profile.loyalty.tier == "gold"',
}
LATE_RULE = {"regular": 'events("store_entry", "purchase").count() >= 3'}
NAMESPACES = ("crm", "email", "phone", "ecid")
NUMBERS = 14
STEPS = 12


@dataclass(frozen=True)
class Step:
    """Batches that are received at one instant; the suite may be started again after each.

    After them each list of `unlinks` is asked to leave whom they are part of, and the people of
    `erasures` are erased.
    """

    at_ms: int
    batches: list[list[profile_pb.IngestInput]]
    restarts: tuple[bool, ...]
    unlinks: tuple[tuple[str, ...], ...] = ()
    erasures: tuple[str, ...] = ()


def plan(seed: int, *, parting: bool = False) -> list[Step]:
    """Return what happens, whatever the partitions are."""
    chance, parted = random.Random(seed), random.Random(seed + 1_000)
    steps, now = [], NOON
    for number in range(STEPS):
        now += chance.choice((HOUR, 5 * HOUR, DAY))
        batches = [
            [_input(chance, f"{number}-{batch}-{n}", now) for n in range(chance.randint(1, 6))]
            for batch in range(chance.randint(1, 4))
        ]
        restarts = tuple(chance.random() < 0.08 for _ in batches)
        unlinks = tuple(_leaving(parted) for _ in range(parted.randint(1, 4))) if parting else ()
        erasures = tuple(_leaving(parted)[0] for _ in range(parted.randint(0, 1)) if parting)
        steps.append(Step(now, batches, restarts, unlinks, erasures))
    return steps


def _leaving(chance: random.Random) -> tuple[str, ...]:
    named = chance.sample(NAMESPACES, chance.choice((1, 1, 2)))
    return tuple(f"{namespace}:{chance.randrange(NUMBERS)}" for namespace in named)


def _input(chance: random.Random, input_id: str, now: int) -> profile_pb.IngestInput:
    named = chance.sample(NAMESPACES, chance.choice((1, 1, 2, 2, 3)))
    people = " ".join(f"{namespace}:{chance.randrange(NUMBERS)}" for namespace in named)
    if chance.random() < 0.2:
        return _attributes(chance, input_id, people, now)
    return event(
        input_id,
        chance.choice(("store_entry", "product_view", "purchase")),
        people,
        received=now,
        occurred=now - chance.choice((0, 0, 0, HOUR, 2 * DAY)),
        total=float(chance.randrange(70)),
    )


def _attributes(
    chance: random.Random, input_id: str, people: str, now: int
) -> profile_pb.IngestInput:
    change = change_pb2.AttributeChange(
        identities=[identity(each) for each in people.split()],
        attributes={
            "loyalty.tier": value(chance.choice(("gold", "silver"))),
            "age": value(float(chance.randrange(9))),
        },
        as_of_time=stamp(now - chance.choice((0, 0, HOUR))),
    )
    wrapped = profile_pb.AttributesInput(change_id=input_id, change=change)
    return profile_pb.IngestInput(attributes=wrapped, received_time=stamp(now))


async def live(directory: Path, steps: list[Step], partitions: int) -> dict[str, Any]:
    """Live through the steps, and return what can be seen in the end."""
    half = len(steps) // 2
    legs = list(_legs(steps))
    for leg, (first, until) in enumerate(legs):
        async with running(directory, partitions=partitions) as app:
            if leg == 0:
                await app.send(event("first", "product_view", "crm:0", received=NOON))
                for name, rule in RULES.items():
                    await app.create(name, rule)
            for number, batch in _batches(steps, first, until):
                await app.send(*steps[number].batches[batch])
                if batch == len(steps[number].batches) - 1:
                    await _part(app, steps[number])
                    await app.client.settle()
                    if number == half:
                        for name, rule in LATE_RULE.items():
                            await app.create(name, rule)
                    await app.client.advance(steps[number].at_ms)
            if leg == len(legs) - 1:
                await app.client.advance(steps[-1].at_ms + HOUR)
                return await view(app, directory, partitions)
    raise AssertionError("there is a last leg")


async def _part(app: App, step: Step) -> None:
    for leaving in step.unlinks:
        await _unlink(app, leaving)
    for name in step.erasures:
        await _erase(app, name)


async def _unlink(app: App, leaving: tuple[str, ...]) -> None:
    """Ask for an un-merge; what is nobody's, everything somebody has, or several people's stays."""
    request = identity_pb.UnlinkRequest(identities=map(identity, leaving))
    try:
        await app.client.identity.Unlink(request)
    except grpc.aio.AioRpcError as error:
        if error.code() not in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}:
            raise


async def _erase(app: App, name: str) -> None:
    """Erase a person, if there is one."""
    try:
        await app.profile.EraseProfile(profile_pb.EraseProfileRequest(who=who(name)))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise


def _legs(steps: list[Step]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Cut the steps where the suite is started again."""
    first = (0, 0)
    for number, step in enumerate(steps):
        for batch, restart in enumerate(step.restarts):
            if restart and (number, batch + 1) != (len(steps) - 1, len(step.batches)):
                yield first, (number, batch + 1)
                first = (number, batch + 1)
    yield first, (len(steps), 0)


def _batches(
    steps: list[Step], first: tuple[int, int], until: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    for number, step in enumerate(steps):
        for batch in range(len(step.batches)):
            if first <= (number, batch) < until:
                yield number, batch


async def view(app: App, directory: Path, partitions: int) -> dict[str, Any]:
    """Return people, memberships, profiles and transitions, by people's identifiers alone."""
    people = await _people(app)
    seen: dict[str, Any] = {}
    for name in people:
        answer = await app.profile.GetProfile(
            profile_pb.GetProfileRequest(who=who(name), consistency=LATEST)
        )
        found = answer.profile
        listed = await app.profile.ListEvents(
            profile_pb.ListEventsRequest(who=who(name), page_size=1000, consistency=LATEST)
        )
        seen[name] = {
            "identities": sorted(f"{one.namespace}:{one.value}" for one in found.identities),
            "attributes": {
                key: (str(one.value), at_ms(one.as_of_time), one.change_id)
                for key, one in sorted(found.attributes.items())
            },
            "events": [one.event.event_id for one in listed.events],
            "count": found.event_count,
            "since": at_ms(found.create_time),
            "memberships": await _memberships(app, name),
        }
    seen["transitions"] = await _transitions(app, directory, partitions)
    return seen


async def _people(app: App) -> list[str]:
    """Return the least identifier of everybody."""
    names = [f"{namespace}:{n}" for namespace in NAMESPACES for n in range(NUMBERS)]
    request = identity_pb.ResolveRequest(identities=map(identity, names), consistency=LATEST)
    found = (await app.client.identity.Resolve(request)).profile_ids
    least: dict[int, str] = {}
    for name, person in sorted(zip(names, found, strict=True)):
        if person:
            least.setdefault(person, name)
    return sorted(least.values())


async def _memberships(app: App, name: str) -> dict[str, int]:
    """Return since when a person is in what the person is in."""
    found = {}
    for audience_id in (*RULES, *LATE_RULE):
        membership = await app.member(audience_id, name)
        if membership.member:
            found[audience_id] = at_ms(membership.enter_time)
    return found


async def _transitions(
    app: App, directory: Path, partitions: int
) -> dict[str, list[tuple[int, str, bool]]]:
    """Return everybody's entries and exits, in order of time.

    Exits by merges are left out: which of two halves remains is a matter of numbers, and only its
    exits are told.
    """
    told: dict[str, list[tuple[int, str, bool]]] = defaultdict(list)
    names: dict[int, str] = {}
    for partition, one in _told(directory, partitions):
        entered = one.change == transitions_pb2.CHANGE_ENTERED
        if one.cause == transitions_pb2.CAUSE_MERGE and not entered:
            continue
        ids = [one.profile_id]
        if one.profile_ordinals:
            entrants = BitMap.deserialize(one.profile_ordinals)
            ids = [profile_id(partition, ordinal) for ordinal in entrants]
        for person in ids:
            if person not in names:
                names[person] = await _name(app, person)
            told[names[person]].append((one.at_ms, one.audience_id, entered))
    return {name: sorted(each) for name, each in told.items()}


def _told(directory: Path, partitions: int) -> Iterator[tuple[int, transitions_pb2.Transition]]:
    database = Database(f"sqlite:///{directory / 'log.db'}")
    try:
        for partition in range(partitions):
            for record in SqlLog(database, f"transitions-{partition}").read(0, 1_000_000):
                pack = transitions_pb2.TransitionPack.FromString(record.payload)
                for one in pack.transitions:
                    yield partition, one
    finally:
        database.close()


async def _name(app: App, person: int) -> str:
    request = identity_pb.GetGraphRequest(who=identity_pb2.Who(profile_id=person))
    try:
        graph = await app.client.identity.GetGraph(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return "erased"
    return min(f"{one.namespace}:{one.value}" for one in graph.identities)
