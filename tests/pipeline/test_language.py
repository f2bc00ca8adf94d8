"""Rules of the whole language through the API: live, from the history, and by time alone."""

import asyncio
from datetime import date
from pathlib import Path

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import schema_pb2, value_pb2
from tests.pipeline.harness import DAY, HOUR, NOON, App, event, running

TEXT, NUMBER, DATE = (
    value_pb2.VALUE_KIND_TEXT,
    value_pb2.VALUE_KIND_NUMBER,
    value_pb2.VALUE_KIND_DATE,
)
SCHEMA = schema_pb2.Schema(
    attributes=[schema_pb2.FieldSchema(name="birth_date", kind=DATE)],
    event_types=[
        schema_pb2.EventTypeSchema(type="cart"),
        schema_pb2.EventTypeSchema(
            type="order",
            properties=[
                schema_pb2.FieldSchema(name="order_id", kind=TEXT),
                schema_pb2.FieldSchema(name="amount", kind=NUMBER),
            ],
        ),
        schema_pb2.EventTypeSchema(
            type="refund", properties=[schema_pb2.FieldSchema(name="order_id", kind=TEXT)]
        ),
    ],
)
RULES = {
    "left": (
        'items("cart").last(days(14)).olderThan(days(3)).by(item.sku)'
        '.notFollowedBy(items("order").by(item.sku)).exists()'
    ),
    "kept": (
        'events("order").by(event.order_id)'
        '.notFollowedBy(events("refund").by(event.order_id), days(2)).count() >= 1'
    ),
    "quick": 'events("cart").followedBy(events("order"), hours(2)).exists()',
    "away": 'age(events("order").latest()) >= days(5)',
    "rich": 'events("order").max(event.amount) >= 90 && events("order").avg(event.amount) > 50',
    "today": 'events("order").calendarDays(1).exists()',
    "birthday": "anniversary(profile.birth_date)",
    "since": 'events("cart").since(events("order").latest()).exists()',
    "some": 'bucket("a") < 0.5 || bucket("a") >= 0.5',
}
AT_FIRST = {"quick", "rich", "today", "some"}
LATER = {"left", "kept", "quick", "away", "rich", "birthday", "some"}


async def tell(app: App) -> None:
    answer = await app.profile.ExtendSchema(profile_pb.ExtendSchemaRequest(schema=SCHEMA))
    await app.client.wait_progress(answer.revision)
    await app.attributes("crm:ada", NOON, birth_date=date(1992, 1, 7))
    basket = (("dress", 1.0, 60.0), ("shoes", 1.0, 90.0))
    await app.send(
        event("c1", "cart", "crm:ada", received=NOON, items=basket),
        event(
            "o1",
            "order",
            "crm:ada",
            received=NOON + HOUR,
            items=basket[:1],
            order_id="o1",
            amount=60.0,
        ),
        event("o2", "order", "crm:ada", received=NOON + HOUR, order_id="o2", amount=90.0),
        event("r1", "refund", "crm:ada", received=NOON + 2 * HOUR, order_id="o1"),
    )
    await app.client.advance(NOON + 3 * HOUR)


async def inside(app: App, prefix: str = "") -> set[str]:
    return {name for name in RULES if (await app.member(prefix + name, "crm:ada")).member}


def test_every_part_of_the_language_decides_memberships(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await tell(app)
            for name, rule in RULES.items():
                await app.create(name, rule)
            assert await inside(app) == AT_FIRST
            # Six days on nothing has happened, but the time has passed.
            await app.client.advance(NOON + 6 * DAY)
            assert await inside(app) == LATER
            for name, rule in RULES.items():
                await app.create(f"new-{name}", rule)
            assert await inside(app, "new-") == LATER
        async with running(tmp_path / "data") as app:
            assert await inside(app) == LATER

    asyncio.run(story())
