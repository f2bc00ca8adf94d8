"""Dates and lists of texts decide memberships: live, in a new audience, and after a restart."""

import asyncio
from datetime import date
from pathlib import Path

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import schema_pb2, value_pb2
from tests.pipeline.harness import HOUR, LATEST, NOON, App, event, running, who

DATE, TEXTS = value_pb2.VALUE_KIND_DATE, value_pb2.VALUE_KIND_TEXTS
SCHEMA = schema_pb2.Schema(
    attributes=[
        schema_pb2.FieldSchema(name="birth_date", kind=DATE),
        schema_pb2.FieldSchema(name="tags", kind=TEXTS),
    ],
    event_types=[
        schema_pb2.EventTypeSchema(
            type="delivery",
            properties=[
                schema_pb2.FieldSchema(name="labels", kind=TEXTS),
                schema_pb2.FieldSchema(name="due", kind=DATE),
            ],
        )
    ],
)
RULES = {
    "grown-up": 'profile.birth_date <= date("2008-01-01")',
    "shoes": '"shoes" in profile.tags && size(profile.tags) == 2',
    "untagged": "profile.tags == []",
    "express": 'events("delivery").where("express" in event.labels).exists()',
    "late": 'events("delivery").where(event.due < date("2026-01-01")).count() == 1',
}
MEMBERS = {
    "crm:ada": {"grown-up", "shoes", "express", "late"},
    "crm:bob": {"untagged"},
    "crm:eve": set[str](),
}


async def declare(app: App) -> None:
    answer = await app.profile.ExtendSchema(profile_pb.ExtendSchemaRequest(schema=SCHEMA))
    await app.client.wait_progress(answer.revision)


async def tell(app: App) -> None:
    await app.attributes("crm:ada", NOON, birth_date=date(1992, 2, 29), tags=("sale", "shoes"))
    await app.attributes("crm:bob", NOON, birth_date=date(2010, 1, 1), tags=())
    await app.attributes("crm:eve", NOON, tags=("shoes",))
    labels, due = ("bulky", "express"), date(2025, 12, 31)
    made = event("d1", "delivery", "crm:ada", received=NOON, labels=labels, due=due)
    await app.send(made)
    await app.client.advance(NOON + HOUR)


async def check(app: App) -> None:
    found = {
        person: {name for name in RULES if (await app.member(name, person)).member}
        for person in MEMBERS
    }
    assert found == MEMBERS


def test_dates_and_lists_decide_memberships(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            await declare(app)
            for name in ("grown-up", "express"):
                await app.create(name, RULES[name])
            await tell(app)
            # The others come from the history.
            for name in ("shoes", "untagged", "late"):
                await app.create(name, RULES[name])
            await check(app)
            asked = pb.ExplainRequest(
                audience="audiences/shoes", who=who("crm:ada"), consistency=LATEST
            )
            clause = (await app.segmentation.Explain(asked)).clause
            assert clause.clauses[0].text == '"shoes" in profile.tags'
        async with running(tmp_path / "data") as app:
            await check(app)
            await app.attributes("crm:eve", NOON + HOUR, tags=("shoes", "hats"))
            assert (await app.member("shoes", "crm:eve")).member

    asyncio.run(story())
