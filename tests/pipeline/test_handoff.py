"""Merges across partitions, through the whole suite: nobody can tell where somebody lived."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import identity_pb2
from services.identity.domain.graph import partition_of
from services.segmentation.module import SegmentationModule
from tests.pipeline.crossing import live, plan
from tests.pipeline.harness import HOUR, NOON, App, at_ms, event, identity, running, who

PARTITIONS = 4
VISITED = 'events("store_entry").exists()'


def names(namespace: str, partition: int, count: int = 2) -> list[str]:
    found = [
        n for n in map(str, range(200)) if partition_of((namespace, n), PARTITIONS) == partition
    ]
    return [f"{namespace}:{n}" for n in found[:count]]


def story(tmp_path: Path, told: Callable[[App], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running(tmp_path / "data", partitions=PARTITIONS) as app:
            await told(app)

    asyncio.run(run())


async def resolve(app: App, *people: str) -> list[int]:
    request = identity_pb.ResolveRequest(identities=[identity(each) for each in people])
    return list((await app.client.identity.Resolve(request)).profile_ids)


async def profile(app: App, person: str | int) -> profile_pb.GetProfileResponse:
    asked = who(person) if isinstance(person, str) else identity_pb2.Who(profile_id=person)
    return await app.profile.GetProfile(profile_pb.GetProfileRequest(who=asked))


async def is_member(app: App, person: str | int) -> tuple[bool, int]:
    asked = who(person) if isinstance(person, str) else identity_pb2.Who(profile_id=person)
    request = segmentation_pb.GetMembershipRequest(audience="audiences/visited", who=asked)
    answer = await app.segmentation.GetMembership(request)
    return answer.membership.member, answer.membership.profile_id


@pytest.mark.parametrize("seed", range(3))
def test_four_partitions_end_as_one_does(seed: int, tmp_path: Path) -> None:
    steps = plan(seed)
    one = asyncio.run(live(tmp_path / "one", steps, 1))
    four = asyncio.run(live(tmp_path / "four", steps, PARTITIONS))
    assert sorted(four) == sorted(one)
    for name, seen in one.items():
        assert four[name] == seen, name


@pytest.mark.parametrize("seed", range(3))
def test_four_partitions_end_as_one_does_where_people_part_and_are_erased(
    seed: int, tmp_path: Path
) -> None:
    steps = plan(seed, parting=True)
    one = asyncio.run(live(tmp_path / "one", steps, 1))
    four = asyncio.run(live(tmp_path / "four", steps, PARTITIONS))
    assert one["transitions"]["erased"]
    assert sorted(four) == sorted(one)
    for name, seen in one.items():
        assert four[name] == seen, name


def test_somebody_on_the_way_is_found_by_every_name_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[SegmentationModule, bytes]] = []
    append = SegmentationModule._append_here
    monkeypatch.setattr(
        SegmentationModule, "_append_here", lambda module, payload: held.append((module, payload))
    )
    (device, *_), (login, *_) = names("ecid", 0), names("crm", 3)

    async def told(app: App) -> None:
        await app.create("visited", VISITED)
        await app.send(
            event("e1", "store_entry", device, received=NOON),
            event("e2", "product_view", login, received=NOON),
        )
        await app.client.settle()
        here, there = await resolve(app, device, login)
        await app.send(event("e3", "product_view", f"{login} {device}", received=NOON))
        async with asyncio.timeout(10):
            while not held:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # another thread takes the person out
        assert await resolve(app, device, login) == [here, there]
        for person in (device, here):
            assert (await profile(app, person)).profile.event_count == 1
            assert await is_member(app, person) == (False, there)  # in transit: as the other is
        assert (await profile(app, login)).profile.profile_id == there
        for module, payload in held:
            append(module, payload)
        await app.client.settle()
        assert await resolve(app, device, login) == [there, there]
        for person in (device, login, here, there):
            found = (await profile(app, person)).profile
            assert (found.profile_id, found.event_count) == (there, 3)
            assert list(found.merged_profile_ids) == [here]
            assert await is_member(app, person) == (True, there)
        membership = await app.member("visited", device)
        assert at_ms(membership.enter_time) == NOON

    story(tmp_path, told)


@pytest.mark.parametrize("names_of", [(0, 1, 2), (2, 1, 0), (3, 0, 1)])
def test_one_event_may_bring_three_partitions_together(
    tmp_path: Path, names_of: tuple[int, int, int]
) -> None:
    people = [
        names(namespace, partition, 1)[0]
        for namespace, partition in zip(("ecid", "email", "crm"), names_of, strict=True)
    ]

    async def told(app: App) -> None:
        await app.create("visited", VISITED)
        seen = (event(f"e{n}", "store_entry", one, received=NOON) for n, one in enumerate(people))
        await app.send(*seen)
        await app.client.settle()
        await app.send(event("all", "store_entry", " ".join(people), received=NOON))
        await app.client.advance(NOON + HOUR)
        assert len(set(await resolve(app, *people))) == 1
        assert len(await app.members("visited")) == 1
        assert (await profile(app, people[0])).profile.event_count == 4
        assert len(await app.transitions(3)) == 3  # each of the three entered, and nobody again

    story(tmp_path, told)


def test_chains_and_opposite_ways_end_where_they_must(tmp_path: Path) -> None:
    (a, *_), (b, *_), (c, *_), (d, *_) = (
        names("ecid", 0),
        names("email", 1),
        names("crm", 2),
        names("phone", 3),
    )

    async def told(app: App) -> None:
        await app.create("visited", VISITED)
        await app.send(
            *(
                event(f"e{n}", "store_entry", one, received=NOON)
                for n, one in enumerate((a, b, c, d))
            )
        )
        await app.client.settle()
        await app.send(
            event("ab", "product_view", f"{a} {b}", received=NOON),
            event("cd", "product_view", f"{c} {d}", received=NOON),
            event("bc", "product_view", f"{b} {c}", received=NOON),
            event("a2", "store_entry", a, received=NOON),
        )
        await app.client.advance(NOON + HOUR)
        assert len(set(await resolve(app, a, b, c, d))) == 1
        assert (await profile(app, d)).profile.event_count == 8
        assert len(await app.members("visited")) == 1

    story(tmp_path, told)
