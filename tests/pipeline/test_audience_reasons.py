"""Why somebody is in an audience: the rows in the transition, and what it would take, in words."""

import asyncio
import threading
from pathlib import Path

from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from tests.pipeline.harness import HOUR, LATEST, NOON, App, event, running, who

SHOES = 'items("product_view").where(item.sku.startsWith("shoe")).last(days(7)).count() >= 2'
BUYERS = 'events("purchase").where(event.channel == "store").last(days(30)).count() >= 3'


async def explain(app: App, audience_id: str, person: str) -> pb.ExplainResponse:
    name = f"audiences/{audience_id}"
    request = pb.ExplainRequest(audience=name, who=who(person), consistency=LATEST)
    return await app.segmentation.Explain(request)


def test_an_entry_says_by_which_items_it_came(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("shoes", SHOES)
            await app.create("shoppers", 'audience("shoes")')
            await app.send(
                event("e1", "product_view", "crm:1", received=NOON, items=(("shoe-1", 1, 9.0),)),
                event(
                    "e2",
                    "product_view",
                    "crm:1",
                    received=NOON + HOUR,
                    items=(("dress", 1, 9.0), ("shoe-2", 1, 9.0)),
                ),
            )
            request = pb.WatchTransitionsRequest(from_start=True)
            stream = app.segmentation.WatchTransitions(request, timeout=10)
            found = []
            async for part in stream:
                found += part.transitions
                if len(found) == 2:
                    stream.cancel()
                    break
            assert [each.audience for each in found] == ["audiences/shoes", "audiences/shoppers"]
            assert [(row.sku, row.event_id) for row in found[0].witnesses] == [
                ("shoe-2", "e2"),
                ("shoe-1", "e1"),
            ]
            assert not found[1].witnesses

    asyncio.run(story())


def test_an_explanation_says_what_it_would_take(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("buyers", f'{BUYERS} && profile.loyalty.tier == "gold"')
            await app.send(
                event("e1", "purchase", "crm:1", received=NOON, channel="store", total=5.0)
            )
            out = await explain(app, "buyers", "crm:1")
            assert not out.membership.member
            assert list(out.smallest_change) == [
                '2 more "purchase" events where event.channel == "store" within 30 days',
                'the attribute loyalty.tier with the value "gold"',
            ]
            await app.send(
                *(
                    event(f"e{n}", "purchase", "crm:1", received=NOON, channel="store", total=5.0)
                    for n in (2, 3)
                )
            )
            await app.attributes("crm:1", NOON, loyalty__tier="gold")
            inside = await explain(app, "buyers", "crm:1")
            assert inside.membership.member
            assert len(inside.smallest_change) == 1

    asyncio.run(story())


def test_questions_leave_no_threads_behind_when_the_suite_stops(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await app.create("buyers", BUYERS)
            await app.send(event("e1", "purchase", "crm:1", received=NOON, channel="store"))
            await explain(app, "buyers", "crm:1")
            async for _ in app.segmentation.PreviewAudience(
                pb.PreviewAudienceRequest(rule=BUYERS, consistency=LATEST)
            ):
                pass

    before = set(threading.enumerate())
    asyncio.run(story())
    left = [each for each in threading.enumerate() if each not in before]
    for each in left:
        each.join(5)
    assert not [each.name for each in left if each.is_alive()]
