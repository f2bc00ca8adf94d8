"""The service on its real interface, among the others: publishing, stopping, looking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from journey_stage import DAY, HOUR, by_audience, by_rows, send, wait
from journey_suite import prepare, problems, running

from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as pb
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from tests.pipeline.harness import NOON, App, event, who

LATEST = consistency_pb2.Consistency(latest=True)
REQUEST = "7e57ab1e-0000-4000-8000-000000000001"


def play(path: Path, story: Callable[[App], Awaitable[None]], partitions: int = 1) -> None:
    async def whole() -> None:
        async with running(path / "data", partitions=partitions) as app:
            await prepare(app)
            await story(app)

    asyncio.run(whole())


async def publish(
    app: App, journey: journey_pb2.Journey, journey_id: str = "nudge", request_id: str = ""
) -> pb.PublishJourneyResponse:
    return await app.client.journey.PublishJourney(
        pb.PublishJourneyRequest(journey_id=journey_id, journey=journey, request_id=request_id)
    )


async def instances(app: App, **wanted: object) -> list[journey_pb2.Instance]:
    request = pb.ListInstancesRequest(consistency=LATEST, **wanted)  # type: ignore[arg-type]
    return list((await app.client.journey.ListInstances(request)).instances)


def nudge() -> journey_pb2.Journey:
    journey = by_audience("visitors", wait("wait", 3 * DAY), send("nudge"))
    journey.display_name = "Nudge"
    journey.exit_rule = 'events("purchase").since(entry).exists()'
    return journey


@pytest.mark.parametrize("partitions", [1, 2])
def test_who_becomes_a_member_enters_and_who_buys_leaves(tmp_path: Path, partitions: int) -> None:
    async def story(app: App) -> None:
        live = await publish(app, nudge())
        assert (live.journey.name, live.journey.open) == ("journeys/nudge/versions/1", True)
        await app.send(
            event("e1", "store_entry", "crm:1", received=NOON),
            event("e2", "store_entry", "crm:2", received=NOON),
        )
        await app.client.advance(NOON + HOUR)
        found = await instances(app, journey="journeys/nudge", live_only=True)
        assert [each.step for each in found] == ["wait", "wait"]
        await app.send(event("e3", "purchase", "crm:2", received=NOON + 2 * HOUR))
        await app.client.advance(NOON + 4 * DAY)
        (stayed,) = await instances(app, who=who("crm:1"))
        (left,) = await instances(app, who=who("crm:2"))
        assert left.end_reason == journey_pb2.END_REASON_EXIT_RULE
        assert left.end_time.ToMilliseconds() == NOON + 2 * HOUR
        assert stayed.end_reason == journey_pb2.END_REASON_COMPLETED
        assert stayed.visits[-1].outcome.startswith("discarded")
        assert stayed.visits[-1].reach_time.ToMilliseconds() == NOON + 3 * DAY
        again = await app.client.journey.GetInstance(pb.GetInstanceRequest(name=stayed.name))
        assert again.instance == stayed

    play(tmp_path, story, partitions)


def test_the_same_request_has_the_same_answer_and_another_one_is_a_new_version(
    tmp_path: Path,
) -> None:
    async def story(app: App) -> None:
        journey = nudge()
        journey.entry.rule = 'events("product_view").exists()'
        first = await publish(app, journey, request_id=REQUEST)
        assert await publish(app, journey, request_id=REQUEST) == first
        both = await asyncio.gather(publish(app, journey), publish(app, nudge()))
        assert sorted(each.journey.version for each in both) == [2, 3]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await publish(app, nudge(), request_id=REQUEST)
        assert problems(caught.value)[0] == "REQUEST_ID_REUSED"
        stored = await app.client.journey.GetJourney(
            pb.GetJourneyRequest(name="journeys/nudge/versions/1")
        )
        assert not stored.journey.open
        listed = await app.client.journey.ListJourneys(pb.ListJourneysRequest())
        assert [each.version for each in listed.journeys] == [3]

    play(tmp_path, story)


def test_a_stopped_journey_lets_nobody_in_and_ends_who_is_on_the_way(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        await publish(app, nudge())
        await app.send(event("e1", "store_entry", "crm:1", received=NOON))
        await app.client.advance(NOON + HOUR)
        stopped = await app.client.journey.StopJourney(
            pb.StopJourneyRequest(name="journeys/nudge", end_instances=True)
        )
        assert not stopped.journey.open
        await app.send(event("e2", "store_entry", "crm:2", received=NOON + 2 * HOUR))
        (only,) = await instances(app)
        assert only.end_reason == journey_pb2.END_REASON_STOPPED

    play(tmp_path, story)


@pytest.mark.parametrize("partitions", [1, 2])
def test_what_an_ended_journey_looked_at_may_be_removed(tmp_path: Path, partitions: int) -> None:
    async def story(app: App) -> None:
        journey = by_rows(0, wait("wait", 3 * DAY))
        journey.display_name, journey.entry.rows = "Nudge", 'events("store_entry")'
        journey.exit_rule = 'audience("visitors") && events("purchase").exists()'
        await publish(app, journey)
        await app.send(event("e1", "store_entry", "crm:1", received=NOON))
        delete = segmentation_pb.DeleteAudienceRequest(name="audiences/visitors")
        for end_instances in (None, False):
            if end_instances is not None:
                await app.client.journey.StopJourney(pb.StopJourneyRequest(name="journeys/nudge"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await app.segmentation.DeleteAudience(delete)
            assert "journeys/nudge/versions/1" in (caught.value.details() or "")
        await app.client.journey.StopJourney(
            pb.StopJourneyRequest(name="journeys/nudge", end_instances=True)
        )
        await app.segmentation.DeleteAudience(delete)
        shown = segmentation_pb.ListAudiencesRequest(show_owned=True)
        left = (await app.segmentation.ListAudiences(shown)).audiences
        assert not [each.name for each in left if each.owner]
        await app.create("visitors", 'events("store_entry").exists()')
        assert (await publish(app, journey)).journey.version == 2

    play(tmp_path, story, partitions)


def test_a_journey_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    async def first() -> None:
        async with running(tmp_path / "data") as app:
            await prepare(app)
            await publish(app, nudge())
            await app.send(event("e1", "store_entry", "crm:1", received=NOON))
            await app.client.advance(NOON + HOUR)

    async def second() -> None:
        async with running(tmp_path / "data") as app:
            await app.client.advance(NOON + 4 * DAY)
            (only,) = await instances(app)
            assert only.end_reason == journey_pb2.END_REASON_COMPLETED

    asyncio.run(first())
    asyncio.run(second())


def test_what_is_not_there_is_a_missing_reference(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        unknown = by_audience("nobody", wait("wait", DAY))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await publish(app, unknown)
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        reason, metadata, _ = problems(caught.value)
        assert (reason, metadata["missing"]) == ("MISSING_REFERENCE", "audiences/nobody")
        mute = by_audience("visitors", send("nudge"))
        mute.steps[0].send.template = "templates/nothing"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await publish(app, mute)
        assert problems(caught.value)[1] == {
            "field": "journey.steps[0].send.template",
            "missing": "templates/nothing",
        }
        listed = await app.client.journey.ListJourneys(pb.ListJourneysRequest())
        assert not listed.journeys

    play(tmp_path, story)


def test_a_rule_is_refused_with_its_place_in_the_request_and_in_the_text(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        wrong = by_rows(2, wait("wait", DAY))
        wrong.entry.rows = 'events("purchase")'
        wrong.entry.rule = "trigger.nothing == 1"
        wrong.exit_rule = 'events("purchase").sinse(entry).exists()'
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await publish(app, wrong)
        reason, _, found = problems(caught.value)
        assert reason == "INVALID_DEFINITION"
        assert sorted(found) == ["journey.entry.key", "journey.entry.rule", "journey.exit_rule"]
        assert "line 1, column 20" in found["journey.exit_rule"]
        by_member = nudge()
        by_member.exit_rule = 'events("purchase").since(trigger).exists()'
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await publish(app, by_member)
        assert "journey.exit_rule" in problems(caught.value)[2]

    play(tmp_path, story)


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        request = pb.PublishJourneyRequest(journey_id="nudge", journey=nudge(), validate_only=True)
        answer = await app.client.journey.PublishJourney(request)
        assert (answer.journey.version, answer.revision) == (1, "")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await app.client.journey.GetJourney(pb.GetJourneyRequest(name="journeys/nudge"))
        assert problems(caught.value)[0] == "JOURNEY_NOT_FOUND"

    play(tmp_path, story)


def test_a_version_that_was_begun_with_other_conditions_is_passed_over(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        begun = audience_pb2.Audience(
            display_name="Begun",
            rule='events("purchase").exists()',
            owner="journeys/nudge/versions/1",
        )
        await app.segmentation.CreateAudience(
            segmentation_pb.CreateAudienceRequest(audience_id="nudge.1.0", audience=begun)
        )
        journey = nudge()
        journey.entry.rule = 'events("product_view").exists()'
        live = await publish(app, journey)
        assert live.journey.version == 2
        await app.send(
            event("e1", "product_view", "crm:1", received=NOON),
            event("e2", "store_entry", "crm:1", received=NOON),
            event("e3", "store_entry", "crm:2", received=NOON),
        )
        await app.client.advance(NOON + HOUR)
        assert len(await instances(app)) == 1

    play(tmp_path, story)


def test_who_moves_between_partitions_goes_on_where_they_were(tmp_path: Path) -> None:
    count = 8

    async def story(app: App) -> None:
        await publish(app, nudge())
        for number in range(count):
            await app.send(
                event(f"a{number}", "store_entry", f"ecid:{number}", received=NOON),
                event(f"b{number}", "product_view", f"crm:{number}", received=NOON),
            )
        await app.client.advance(NOON + HOUR)
        before = await instances(app, live_only=True)
        for number in range(count):
            both = f"crm:{number} ecid:{number}"
            await app.send(event(f"c{number}", "product_view", both, received=NOON + 2 * HOUR))
        await app.client.advance(NOON + 2 * HOUR)
        after = await instances(app, live_only=True)
        assert [each.name for each in after] == [each.name for each in before]
        moved = {each.profile_id >> 32 for each in before} - {0}
        assert moved, "expected people in several partitions"
        await app.send(event("d", "purchase", "ecid:0", received=NOON + 3 * HOUR))
        await app.client.advance(NOON + 4 * DAY)
        found = await instances(app)
        reasons = sorted(each.end_reason for each in found)
        completed = journey_pb2.END_REASON_COMPLETED
        assert reasons == [completed] * (count - 1) + [journey_pb2.END_REASON_EXIT_RULE]
        assert {each.enter_time.ToMilliseconds() for each in found} == {NOON}

    play(tmp_path, story, partitions=4)
