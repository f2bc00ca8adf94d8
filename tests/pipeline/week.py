"""A seeded week of a shop: what people do, late, twice and under several names."""

from __future__ import annotations

import random

from coterie.segmentation.v1 import audience_pb2
from tests.pipeline.harness import DAY, HOUR, NOON, App, event

RULES = {
    "abandoner": (
        'events("store_entry").last(hours(24)).exists()'
        ' && !events("purchase").last(hours(24)).exists()'
    ),
    "spender": (
        'events("purchase").where(event.channel == "web").last(days(3)).sum(event.total) >= 100'
    ),
    "carrier": 'items("purchase").where(item.price > 10).sum(item.price * item.quantity) > 250',
    "golden-spender": 'audience("spender") && profile.loyalty.tier == "gold"',
    "quiet": '!events("product_view", "purchase").last(days(2)).exists()',
}
PEOPLE = 30


async def live_a_week(app: App, *, seed: int, first: int = 0, days: int = 7) -> None:
    """Send a seeded week: views, visits, purchases, logins that merge, gold members."""
    chance = random.Random(seed)
    batches = []
    for step in range(first * 60, days * 60):
        now = NOON + step * (DAY // 60)
        person = chance.randrange(PEOPLE)
        people = chance.choice([f"crm:{person}", f"ecid:{person}", f"crm:{person} ecid:{person}"])
        kind = chance.choice(["store_entry", "product_view", "purchase"])
        late = chance.choice([0, 0, 0, HOUR, 2 * DAY])
        batches.append(
            event(
                f"e{step}",
                kind,
                people,
                received=now,
                occurred=now - late,
                items=((f"sku{step % 7}", 2.0, float(step % 23)),) if kind == "purchase" else (),
                total=float(chance.randrange(90)),
                channel=chance.choice(["web", "store"]),
            )
        )
        if chance.random() < 0.1:
            batches.append(chance.choice(batches[-20:]))
        if len(batches) > 25:
            await app.send(*batches)
            tier = chance.choice(["gold", "none"])
            await app.attributes(f"crm:{person}", now, f"a{step}", loyalty__tier=tier)
            batches = []
    if batches:
        await app.send(*batches)
    await app.client.advance(NOON + days * DAY)


async def picture(app: App) -> dict[str, object]:
    """Return all that a caller can see of the audiences, by people's names."""
    seen: dict[str, object] = {name: await app.members(name) for name in RULES}
    for name in RULES:
        for person in range(PEOPLE):
            membership = await app.member(name, f"crm:{person}")
            if membership.cause == audience_pb2.CAUSE_MERGE:
                membership.cause_id = ""  # a function of positions, which packs and ticks move
            seen[f"{name}/{person}"] = str(membership)
    return seen


async def set_up(app: App) -> None:
    await app.send(
        *(event(f"first{i}", "product_view", f"crm:{i}", received=NOON) for i in range(PEOPLE))
    )
    for name, rule in RULES.items():
        await app.create(name, rule)
