"""What a person who runs Coterie sees: events in, memberships out, through the public API."""

import asyncio
import threading
from pathlib import Path

import pytest

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import change_pb2
from tests.pipeline.harness import (
    DAY,
    HOUR,
    LATEST,
    NOON,
    SECOND,
    at_ms,
    event,
    identity,
    running,
    who,
)

ABANDONER = (
    'events("store_entry").last(hours(24)).exists() && !events("purchase").last(hours(24)).exists()'
)


def test_who_leaves_the_store_without_buying_is_in_at_once_and_out_after_exactly_a_day(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("abandoner", ABANDONER)
            await app.send(event("e1", "store_entry", "crm:beth", received=NOON))
            entered = await app.member("abandoner", "crm:beth")
            assert entered.member
            assert at_ms(entered.enter_time) == NOON
            assert (entered.cause, entered.cause_id) == (audience_pb2.CAUSE_EVENT, "e1")

            await app.client.advance(NOON + DAY - 1)
            assert (await app.member("abandoner", "crm:beth")).member
            await app.client.advance(NOON + DAY + 10 * SECOND)
            left = await app.member("abandoner", "crm:beth")
            assert not left.member
            assert at_ms(left.exit_time) == NOON + DAY
            assert left.cause == audience_pb2.CAUSE_CLOCK
            assert await app.transitions(2) == [
                ("abandoner", True, NOON, "event"),
                ("abandoner", False, NOON + DAY, "clock"),
            ]

    asyncio.run(story())


def test_a_purchase_in_the_very_instant_in_which_time_would_act_comes_first(tmp_path: Path) -> None:
    rule = (
        'events("store_entry").exists() && !events("store_entry").last(hours(1)).exists()'
        ' && !events("purchase").exists()'
    )

    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("gone", rule)
            await app.send(event("e1", "store_entry", "crm:a crm:a", received=NOON))
            await app.send(event("e2", "store_entry", "crm:b", received=NOON))
            await app.send(event("p1", "purchase", "crm:a", received=NOON + HOUR))
            await app.client.advance(NOON + HOUR)
            assert not (await app.member("gone", "crm:a")).member
            assert not (await app.member("gone", "crm:a")).HasField("enter_time")
            assert at_ms((await app.member("gone", "crm:b")).enter_time) == NOON + HOUR

    asyncio.run(story())


def test_a_login_joins_two_histories_and_counts_follow(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("keen", 'events("product_view").last(days(7)).count() >= 3')
            await app.send(
                event("v1", "product_view", "ecid:web", received=NOON),
                event("v2", "product_view", "ecid:app", received=NOON + SECOND),
                event("v3", "product_view", "crm:beth", received=NOON + 2 * SECOND),
            )
            assert len(await app.members("keen")) == 0
            await app.send(event("l1", "store_entry", "crm:beth ecid:web", received=NOON + HOUR))
            assert not (await app.member("keen", "crm:beth")).member
            await app.send(
                event("l2", "store_entry", "crm:beth ecid:app", received=NOON + 2 * HOUR)
            )
            joined = await app.member("keen", "ecid:web")
            assert joined.member
            assert at_ms(joined.enter_time) == NOON + 2 * HOUR
            assert joined.cause == audience_pb2.CAUSE_MERGE
            for name in ("crm:beth", "ecid:web", "ecid:app"):
                request = profile_pb.GetProfileRequest(who=who(name), consistency=LATEST)
                found = (await app.profile.GetProfile(request)).profile
                assert found.profile_id == joined.profile_id
                assert found.event_count == 5
            # the window is the united history's: the first view leaves it first
            await app.client.advance(NOON + 7 * DAY)
            gone = await app.member("keen", "crm:beth")
            assert not gone.member
            assert at_ms(gone.exit_time) == NOON + 7 * DAY

    asyncio.run(story())


def test_who_comes_to_be_by_an_event_was_never_without_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("no-buyer", '!events("purchase").exists()')
            await app.send(event("p1", "purchase", "crm:buyer", received=NOON))
            await app.send(event("v1", "product_view", "crm:viewer", received=NOON))
            assert not (await app.member("no-buyer", "crm:buyer")).HasField("enter_time")
            assert await app.transitions(1) == [("no-buyer", True, NOON, "event")]

    asyncio.run(story())


def test_late_and_repeated_events_have_the_effect_of_order_and_of_once(tmp_path: Path) -> None:
    rule = 'events("purchase").last(days(10)).sum(event.total) >= 100'

    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("spender", rule)
            first = event("p1", "purchase", "crm:a", received=NOON, total=60.0)
            await app.send(first, first)
            await app.send(first)
            assert not (await app.member("spender", "crm:a")).member
            late = NOON + DAY
            await app.send(
                event(
                    "p2", "purchase", "crm:a", received=late, occurred=NOON - 20 * DAY, total=500.0
                )
            )
            assert not (await app.member("spender", "crm:a")).member
            await app.send(
                event("p3", "purchase", "crm:a", received=late, occurred=NOON - 5 * DAY, total=40.0)
            )
            assert at_ms((await app.member("spender", "crm:a")).enter_time) == late
            await app.client.advance(NOON + 6 * DAY)
            left = await app.member("spender", "crm:a")
            assert at_ms(left.exit_time) == NOON + 5 * DAY

    asyncio.run(story())


def test_a_new_audience_has_the_members_of_the_past_and_then_follows_each_event(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.send(
                *(
                    event(f"p{i}", "purchase", f"crm:{i}", received=NOON, total=float(i))
                    for i in range(50)
                )
            )
            await app.create("big", 'events("purchase").sum(event.total) >= 40')
            assert len(await app.members("big")) == 10
            founder = await app.member("big", "crm:49")
            assert founder.cause == audience_pb2.CAUSE_DEFINITION
            await app.send(event("more", "purchase", "crm:39", received=NOON + HOUR, total=1.0))
            assert len(await app.members("big")) == 11
            await app.create("big-and-gold", 'audience("big") && profile.loyalty.tier == "gold"')
            await app.attributes("crm:49", NOON + 2 * HOUR, loyalty__tier="gold")
            golden = await app.member("big-and-gold", "crm:49")
            assert golden.member
            assert golden.cause == audience_pb2.CAUSE_ATTRIBUTE
            refund = event("back", "purchase", "crm:49", received=NOON + 3 * HOUR, total=-49.0)
            await app.send(refund)
            told = await app.transitions(14)
            assert told[-2:] == [
                ("big", False, NOON + 3 * HOUR, "event"),
                ("big-and-gold", False, NOON + 3 * HOUR, "event"),
            ]

    asyncio.run(story())


def test_explain_names_each_clause_with_its_value_its_rows_and_its_next_change(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("abandoner", ABANDONER)
            await app.send(
                event("e1", "store_entry", "crm:beth", received=NOON),
                event("p1", "purchase", "crm:beth", received=NOON + HOUR, total=5.0),
            )
            request = segmentation_pb.ExplainRequest(
                audience="audiences/abandoner", who=who("crm:beth"), consistency=LATEST
            )
            answer = await app.segmentation.Explain(request)
            assert not answer.membership.member
            assert answer.clause.value == "false"
            entry, no_purchase = answer.clause.clauses
            assert (entry.value, no_purchase.value) == ("true", "false")
            assert at_ms(entry.next_change_time) == NOON + DAY
            witnesses = [each.event_id for each in entry.witnesses] or [
                each.event_id for clause in entry.clauses for each in clause.witnesses
            ]
            assert witnesses == ["e1"]

    asyncio.run(story())


def test_consent_and_preferences_are_read_back_at_their_revision(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            change = change_pb2.ConsentChange(
                identities=[identity("crm:beth")],
                consents=[change_pb2.ChannelConsent(channel=2, status=1)],
                preferred_channel=change_pb2.CHANNEL_SMS,
            )
            accepted = await app.profile.SetConsent(profile_pb.SetConsentRequest(change=change))
            fresh = consistency_pb2.Consistency(at_least=accepted.revision)
            request = profile_pb.GetProfileRequest(who=who("crm:beth"), consistency=fresh)
            found = (await app.profile.GetProfile(request)).profile
            assert found.preferred_channel == change_pb2.CHANNEL_SMS
            assert [(c.channel, c.status) for c in found.consents] == [(2, 1)]

    asyncio.run(story())


def test_explanations_that_take_long_hold_up_no_other_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()
    monkeypatch.setattr("services.segmentation.app.explain", lambda *_, **__: ended.wait(20))

    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("buyer", 'events("purchase").exists()')
            await app.send(event("p1", "purchase", "crm:beth", received=NOON))
            await app.member("buyer", "crm:beth")
            request = segmentation_pb.ExplainRequest(
                audience="audiences/buyer", who=who("crm:beth")
            )
            try:
                abandoned = [app.segmentation.Explain(request, timeout=1) for _ in range(40)]
                await asyncio.gather(*abandoned, return_exceptions=True)
                async with asyncio.timeout(15):
                    assert (await app.member("buyer", "crm:beth")).member
            finally:
                ended.set()

    asyncio.run(story())
