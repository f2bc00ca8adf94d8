"""Audiences are read in bulk: previews, sets, overlaps, bitmaps, as of an instant, resumable."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from pyroaring import BitMap

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import identity_pb2
from tests.pipeline.harness import HOUR, LATEST, NOON, App, event, running, stamp, who
from tests.pipeline.test_audience_versions import BOUGHT, VISITED, three_people, until

Who = identity_pb2.Who
Set = audience_pb2.SetExpression


def members_of(audience_id: str) -> Set:
    return Set(audience=f"audiences/{audience_id}")


def every(*sets: Set) -> Set:
    return Set(all_of=audience_pb2.SetList(sets=sets))


async def combined(app: App, expression: Set) -> list[int]:
    request = pb.CombineAudiencesRequest(expression=expression, consistency=LATEST)
    parts = [part async for part in app.segmentation.CombineAudiences(request)]
    ids = [each for part in parts for each in part.profile_ids]
    assert {part.member_count for part in parts} == {len(ids)}
    return ids


async def preview(app: App, rule: str, **more: object) -> pb.AudiencePreview:
    request = pb.PreviewAudienceRequest(rule=rule, consistency=LATEST, **more)
    *steps, last = [part async for part in app.segmentation.PreviewAudience(request)]
    assert all(step.progress < 1 and not step.HasField("preview") for step in steps)
    return last.preview


async def publish(
    app: App, mode: pb.PublishMode.ValueType, *members: Who, **more: str
) -> pb.PublishAudienceResponse:
    head = pb.PublishAudienceHead(audience_id="vip", mode=mode, **more)

    async def requests() -> AsyncIterator[pb.PublishAudienceRequest]:
        yield pb.PublishAudienceRequest(head=head, members=members[:1])
        yield pb.PublishAudienceRequest(members=members[1:])

    return await app.segmentation.PublishAudience(requests())


def test_an_unsaved_rule_shows_its_size_its_overlap_and_what_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await three_people(app)
            await app.create("some", VISITED)
            some = await app.members("some")
            found = await preview(app, BOUGHT, overlap_audiences=["audiences/some"], sample_size=1)
            assert (found.member_count, found.profile_count) == (2, 3)
            assert list(found.sample) == [min(set(found.sample) | {found.sample[0]})]
            (overlap,) = found.overlaps
            assert (overlap.member_count, overlap.shared_count) == (2, 1)
            assert (await preview(app, f'audience("some") && !{BOUGHT}')).member_count == 1
            before = await preview(app, BOUGHT, time=stamp(NOON))
            assert (before.member_count, before.time) == (1, stamp(NOON))
            request = pb.ListMembersRequest(audience="audiences/some", time=stamp(NOON - HOUR))
            parts = [part async for part in app.segmentation.ListMembers(request)]
            assert [list(part.profile_ids) for part in parts] == [[]]
            request.time.CopyFrom(stamp(NOON))
            (part,) = [part async for part in app.segmentation.ListMembers(request)]
            assert list(part.profile_ids) == some
            request.time.CopyFrom(stamp(NOON + 5 * HOUR))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [part async for part in app.segmentation.ListMembers(request)]
            assert (
                caught.value.details()
                == "time: expected a time from 1970 to the present of the log"
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await preview(app, 'events("purchase").where(event.totl > 1.0).exists()')
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(story())


def test_sets_overlaps_and_many_memberships_hold_at_one_position(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data", partitions=4) as app:
            await three_people(app)
            await app.create("some", VISITED)
            await app.create("buyers", BOUGHT)
            some, buyers = await app.members("some"), await app.members("buyers")
            both = sorted({*some} & {*buyers})
            assert await combined(app, every(members_of("some"), members_of("buyers"))) == both
            others = Set(not_in=members_of("some"))
            assert await combined(app, others) == sorted({*buyers} - {*some})
            either = Set(any_of=audience_pb2.SetList(sets=[others, members_of("some")]))
            assert len(await combined(app, either)) == 3
            names = ["audiences/some", "audiences/buyers"]
            overlap = await app.segmentation.GetOverlap(pb.GetOverlapRequest(audiences=names))
            assert [list(row.shared_counts) for row in overlap.rows] == [[2, 1], [1, 2]]
            people = [*sorted({*some} | {*buyers}), 77]
            checked = await app.segmentation.BatchCheckMembership(
                pb.BatchCheckMembershipRequest(profile_ids=people, audiences=names)
            )
            assert checked.revision == overlap.revision
            assert [(row.found, list(row.audience_indexes)) for row in checked.profiles] == [
                *((True, [0] * (p in some) + [1] * (p in buyers)) for p in people[:3]),
                (False, []),
            ]
            request = pb.ListMembersRequest(
                audience="audiences/some", format=audience_pb2.MEMBER_FORMAT_ROARING
            )
            found = [
                each.roaring.partition << 32 | ordinal
                async for each in app.segmentation.ListMembers(request)
                for ordinal in BitMap.deserialize(each.roaring.ordinals)
            ]
            assert found == some

    asyncio.run(story())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (Set(), "expression: expected an audience, all_of, any_of or not_in, found nothing"),
        (every(), "expression.all_of.sets: expected at least one set, found nothing"),
        (members_of("nobody"), "there is no audience `nobody`"),
        (every(*[members_of("some")] * 100), "expression: expected at most 100 sets, found more"),
    ],
)
def test_a_set_that_is_none_is_refused(tmp_path: Path, expression: Set, expected: str) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await combined(app, expression)
            assert caught.value.details() == expected

    asyncio.run(story())


def test_members_from_outside_are_replaced_added_and_removed(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data", partitions=2) as app:
            await three_people(app)
            answer = await publish(app, pb.PUBLISH_MODE_REPLACE, who("crm:ann"), who("crm:new"))
            assert answer.published_count == 2
            live = await until(app, "vip", lambda each: each.activate_time.seconds > 0)
            assert (live.publication.published_count, live.member_count, live.rule) == (2, 2, "")
            await app.create("vip-buyers", f'audience("vip") && {BOUGHT}')
            assert await app.members("vip-buyers") == []
            bob = await app.segmentation.GetMembership(
                pb.GetMembershipRequest(audience="audiences/vip", who=who("crm:bob"))
            )
            bob_id = bob.membership.profile_id
            await publish(app, pb.PUBLISH_MODE_ADD, Who(profile_id=bob_id), who("crm:cid"))
            assert len(await app.members("vip-buyers")) == 2
            entered = await app.member("vip", "crm:bob")
            assert entered.cause == audience_pb2.CAUSE_PUBLICATION
            await publish(app, pb.PUBLISH_MODE_REMOVE, who("crm:cid"))
            assert await app.members("vip-buyers") == [bob_id]
            again = "b5c5d9d0-5c5b-4f5e-9d3c-111111111111"
            for _ in range(2):
                await publish(app, pb.PUBLISH_MODE_REPLACE, who("crm:cid"), request_id=again)
                await until(app, "vip", lambda each: each.version == 2)
            assert len(await app.members("vip")) == len(await app.members("vip-buyers")) == 1
            await app.segmentation.RollBackAudience(
                pb.RollBackAudienceRequest(name="audiences/vip")
            )
            await until(app, "vip", lambda each: each.version == 3)
            assert bob_id in await app.members("vip")
        async with running(tmp_path / "data", partitions=2) as app:
            assert await app.members("vip-buyers") == [bob_id]
            await app.create("ruled", VISITED)
            head = pb.PublishAudienceHead(audience_id="ruled", mode=pb.PUBLISH_MODE_ADD)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await app.segmentation.PublishAudience(
                    iter([pb.PublishAudienceRequest(head=head)])  # type: ignore[arg-type]
                )
            assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION

    asyncio.run(story())


def test_the_members_of_old_publications_are_let_go(tmp_path: Path) -> None:
    async def back(app: App, version: int) -> None:
        request = pb.RollBackAudienceRequest(name="audiences/vip", version=version)
        await app.segmentation.RollBackAudience(request)

    async def live(app: App, version: int) -> None:
        await until(
            app, "vip", lambda each: each.version == version and each.activate_time.seconds > 0
        )

    async def story() -> None:
        async with running(tmp_path / "data", partitions=2) as app:
            await three_people(app)
            for number, name in enumerate(("ann", "bob", "cid", "ann"), 1):
                await publish(app, pb.PUBLISH_MODE_REPLACE, who(f"crm:{name}"))
                await live(app, number)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await back(app, 1)
            assert caught.value.code() == grpc.StatusCode.NOT_FOUND
            assert "has no version 1 that has members that are still kept" in str(caught.value)
            await back(app, 2)
            await live(app, 5)
            assert (await app.member("vip", "crm:bob")).member
            assert not (await app.member("vip", "crm:ann")).member
            members = await app.members("vip")
        async with running(tmp_path / "data", partitions=2) as app:
            assert await app.members("vip") == members
            await app.segmentation.DeleteAudience(pb.DeleteAudienceRequest(name="audiences/vip"))
            await publish(app, pb.PUBLISH_MODE_REPLACE, who("crm:cid"))
            await live(app, 6)
            assert len(await app.members("vip")) == 1

    asyncio.run(story())


def test_a_watch_goes_on_where_it_was_after_a_restart_whatever_its_filter(tmp_path: Path) -> None:
    async def told(app: App, count: int, token: str, *names: str) -> tuple[list[str], str]:
        request = pb.WatchTransitionsRequest(
            audiences=[f"audiences/{each}" for each in names],
            resume_token=token,
            from_start=not token,
        )
        stream = app.segmentation.WatchTransitions(request, timeout=10)
        found: list[str] = []
        async for part in stream:
            found += [f"{each.audience[10:]} {each.profile_id}" for each in part.transitions]
            if len(found) >= count:
                stream.cancel()
                return found, part.resume_token
        raise AssertionError("the stream ended by itself")

    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("some", VISITED)
            await app.create("buyers", BOUGHT)
            await app.send(event("e1", "store_entry", "crm:1", received=NOON))
            first, token = await told(app, 1, "")
            assert first == ["some 1"]
        async with running(tmp_path / "data") as app:
            await app.send(
                event("e2", "purchase", "crm:1", received=NOON, total=1.0),
                event("e3", "store_entry", "crm:2", received=NOON),
            )
            rest, _ = await told(app, 2, token)
            assert rest == ["buyers 1", "some 2"]
            assert (await told(app, 1, token, "some"))[0] == ["some 2"]
            assert (await told(app, 3, ""))[0] == [*first, *rest]

    asyncio.run(story())


def test_memory_is_told_by_kind_and_by_audience(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await three_people(app)
            await app.create("some", VISITED)
            found = await app.segmentation.GetMemory(pb.GetMemoryRequest(consistency=LATEST))
            assert (found.profile_count, found.event_count) == (3, 4)
            assert sum(use.resident_bytes + use.mapped_bytes for use in found.uses) > 0
            (some,) = found.audiences
            assert some.audience == "audiences/some"
            assert some.own_bytes > 0

    asyncio.run(story())
