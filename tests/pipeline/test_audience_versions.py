"""Audiences change through the public API: versions, swaps, the way back, removal, restarts."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from tests.pipeline.harness import HOUR, NOON, SECOND, App, event, running

READY = audience_pb2.AUDIENCE_VERSION_STATE_READY
FORMER = audience_pb2.AUDIENCE_VERSION_STATE_FORMER
LIVE = audience_pb2.AUDIENCE_VERSION_STATE_ACTIVE
DISCARDED = audience_pb2.AUDIENCE_VERSION_STATE_DISCARDED

VISITED = 'events("store_entry").exists()'
BOUGHT = 'events("purchase").exists()'
Shown = audience_pb2.Audience


async def get(app: App, audience_id: str) -> Shown:
    request = pb.GetAudienceRequest(name=f"audiences/{audience_id}")
    return (await app.segmentation.GetAudience(request)).audience


async def until(app: App, audience_id: str, holds: Callable[[Shown], bool]) -> Shown:
    async with asyncio.timeout(20):
        while not holds(found := await get(app, audience_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # the state is another process's: there is no event
    return found


async def update(
    app: App, audience_id: str, rule: str, *, activate: bool = False, **more: str
) -> Shown:
    wanted = Shown(name=f"audiences/{audience_id}", rule=rule, **more)
    request = pb.UpdateAudienceRequest(audience=wanted, activate_when_built=activate)
    return (await app.segmentation.UpdateAudience(request)).audience


async def ready(app: App, audience_id: str) -> audience_pb2.AudienceVersion:
    found = await until(app, audience_id, lambda each: each.next_version.state == READY)
    return found.next_version


async def activate(app: App, audience_id: str, version: int) -> Shown:
    request = pb.ActivateAudienceRequest(name=f"audiences/{audience_id}", version=version)
    return (await app.segmentation.ActivateAudience(request)).audience


async def versions(app: App, audience_id: str) -> list[tuple[int, int]]:
    request = pb.ListAudienceVersionsRequest(parent=f"audiences/{audience_id}")
    found = (await app.segmentation.ListAudienceVersions(request)).versions
    return [(each.version, each.state) for each in found]


async def refusal(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


async def three_people(app: App) -> None:
    """Ann has visited, Bob has bought, Cid has done both."""
    await app.send(
        event("e1", "store_entry", "crm:ann", received=NOON),
        event("e2", "purchase", "crm:bob", received=NOON, total=5.0),
        event("e3", "store_entry", "crm:cid", received=NOON),
        event("e4", "purchase", "crm:cid", received=NOON + SECOND, total=5.0),
    )
    await app.client.advance(NOON + HOUR)


def test_a_changed_rule_is_shown_then_swapped_in_with_what_is_built_on_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await three_people(app)
            await app.create("some", VISITED)
            await app.create("others", 'profile.age > 18.0 || !audience("some")')
            shown = await update(app, "some", BOUGHT)
            assert (shown.version, shown.next_version.version) == (1, 2)
            coming = await ready(app, "some")
            (ann, bob, cid) = sorted({*await app.members("some"), *await app.members("others")})
            difference = coming.difference
            assert (difference.enter_count, difference.exit_count) == (1, 1)
            assert (list(difference.enter_sample), list(difference.exit_sample)) == ([bob], [ann])
            assert await app.members("some") == [ann, cid]
            await app.send(event("e5", "purchase", "crm:ann", received=NOON + HOUR, total=5.0))
            live = await activate(app, "some", 2)
            assert (live.version, live.rule, live.HasField("next_version")) == (2, BOUGHT, False)
            assert await app.members("some") == [ann, bob, cid]
            assert await app.members("others") == []
            assert await versions(app, "some") == [(2, LIVE), (1, FORMER)]
            told = await app.transitions(5)
            assert [each[:2] + each[3:] for each in told] == [
                ("some", True, "definition"),
                ("some", True, "definition"),
                ("others", True, "definition"),
                ("some", True, "definition"),
                ("others", False, "definition"),
            ]
            bob_now = await app.member("some", "crm:bob")
            assert (bob_now.version, bob_now.cause) == (2, audience_pb2.CAUSE_DEFINITION)
            assert (await app.member("some", "crm:ann")).version == 1
            left = await app.member("others", "crm:bob")
            assert (left.member, left.HasField("exit_time")) == (False, True)

    asyncio.run(story())


def test_a_version_goes_live_by_itself_where_that_is_asked_and_outlives_a_restart(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await three_people(app)
            await app.create("some", VISITED)
            before = await app.members("some")
            await update(app, "some", BOUGHT, activate=True)
            await until(app, "some", lambda each: each.version == 2)
            bought = await app.members("some")
            await update(app, "some", f"{VISITED} && {BOUGHT}")
            await ready(app, "some")
        async with running(tmp_path / "data") as app:
            found = await until(app, "some", lambda each: each.next_version.state == READY)
            assert (found.version, found.rule, found.member_count) == (2, BOUGHT, 2)
            assert found.next_version.difference.exit_count == 1
            assert await app.members("some") == bought
            shown = await activate(app, "some", 3)
            assert shown.member_count == 1
            rolled = await app.segmentation.RollBackAudience(
                pb.RollBackAudienceRequest(name="audiences/some", version=1, etag=shown.etag)
            )
            assert rolled.audience.next_version.restored_version == 1
            live = await until(app, "some", lambda each: each.version == 4)
            assert (live.rule, await app.members("some")) == (VISITED, before)
            assert await versions(app, "some") == [
                (4, LIVE),
                (3, FORMER),
                (2, FORMER),
                (1, FORMER),
            ]

    asyncio.run(story())


def test_what_follows_a_version_before_it_went_live_takes_its_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("some", VISITED)
            await update(app, "some", BOUGHT)
            await update(app, "some", f"!{BOUGHT}")
            await ready(app, "some")
            assert [state for _, state in await versions(app, "some")] == [READY, DISCARDED, LIVE]
            late = await refusal(activate(app, "some", 2))
            assert (late.code(), late.details()) == (
                grpc.StatusCode.NOT_FOUND,
                "audience `some` has no version 2 that is on its way to being live",
            )
            renamed = pb.UpdateAudienceRequest(
                audience=Shown(name="audiences/some", display_name="New", rule="nonsense"),
                update_mask=FieldMask(paths=["display_name"]),
            )
            await app.segmentation.UpdateAudience(renamed)
            found = await until(app, "some", lambda each: each.version == 4)
            assert (found.display_name, found.rule) == ("New", VISITED)

    asyncio.run(story())


def test_what_is_in_use_stays_and_what_was_removed_can_be_made_anew(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await three_people(app)
            await app.create("some", VISITED)
            await app.create("child", 'audience("some")')
            remove = pb.DeleteAudienceRequest(name="audiences/some")
            used = await refusal(app.segmentation.DeleteAudience(remove))
            assert used.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert used.details() == "audience `some` is in use by audiences/child"
            circle = await refusal(update(app, "some", '!audience("child")'))
            assert circle.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "does not lead back to `some`" in str(circle.details())
            stale = pb.DeleteAudienceRequest(name="audiences/child", etag='"0-0"')
            assert (await refusal(app.segmentation.DeleteAudience(stale))).code() == (
                grpc.StatusCode.ABORTED
            )
            await app.segmentation.DeleteAudience(pb.DeleteAudienceRequest(name="audiences/child"))
            await app.segmentation.DeleteAudience(remove)
            gone = await refusal(get(app, "some"))
            assert gone.code() == grpc.StatusCode.NOT_FOUND
            assert [each[:2] for each in (await app.transitions(8))[-4:]] == [
                ("child", False),
                ("child", False),
                ("some", False),
                ("some", False),
            ]
            await app.create("some", BOUGHT)
            assert (await get(app, "some")).version == 2
            assert len(await app.members("some")) == 2

    asyncio.run(story())
