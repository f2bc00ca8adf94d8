"""What several messages ask for at once is done at one go, and one of them fails no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
from messaging_world import (
    DISCARDED,
    FAILED,
    NOON,
    SENT,
    World,
    attributes,
    consent,
    reachable,
    send,
    template,
    tick,
)
from test_messaging_crashes import Receiver

from services.kit.ids import profile_id
from services.kit.stage import ContractBroken
from services.messaging.batches import BATCH, Batches
from services.messaging.domain.lanes import Lane
from services.messaging.rendering.renderer import Renderer, RenderFailed

DATA = {"profile": {"first_name": "Beth"}, "trigger": {}, "items": [], "message": {}}


class Work:
    """Squares numbers; notes each batch, and waits in the first one until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.error = error
        self.go = threading.Event()
        self.begun = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.begun.set()
        assert self.go.wait(10)
        if self.error is not None and -1 in numbers:
            raise self.error
        return [number * number for number in numbers]


async def asked_meanwhile(work: Work, *numbers: int) -> list[int | BaseException]:
    """Ask for 1 alone, and for the others while that is being done."""
    batches = Batches(work)
    first = asyncio.create_task(batches.ask(1))
    await asyncio.to_thread(work.begun.wait, 10)
    others = [asyncio.create_task(batches.ask(number)) for number in numbers]
    await asyncio.sleep(0)
    work.go.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_who_comes_alone_waits_for_nobody_and_who_comes_meanwhile_shares_the_next() -> None:
    work = Work()
    assert asyncio.run(asked_meanwhile(work, 2, 3, 4)) == [1, 4, 9, 16]
    assert work.batches == [[1], [2, 3, 4]]


def test_a_batch_is_bounded() -> None:
    work = Work()
    asyncio.run(asked_meanwhile(work, *range(BATCH + 5)))
    assert [len(batch) for batch in work.batches] == [1, BATCH, 5]


def test_one_that_cannot_be_done_fails_no_other() -> None:
    work = Work(ValueError("this one"))
    first, two, bad, three = asyncio.run(asked_meanwhile(work, 2, -1, 3))
    assert (first, two, three) == (1, 4, 9)
    assert bad is work.error
    assert work.batches == [[1], [2, -1, 3], [2], [-1], [3]]


def test_a_database_that_is_away_is_not_asked_for_each() -> None:
    work = Work(ContractBroken("no message's fault"))
    first, *others = asyncio.run(asked_meanwhile(work, 2, -1, 3))
    assert first == 1
    assert others == [work.error] * 3
    assert work.batches == [[1], [2, -1, 3]]


def test_who_went_away_while_waiting_is_asked_for_no_more() -> None:
    async def story() -> None:
        work = Work()
        batches = Batches(work)
        first = asyncio.create_task(batches.ask(1))
        await asyncio.to_thread(work.begun.wait, 10)
        gone, kept = (asyncio.create_task(batches.ask(number)) for number in (2, 3))
        await asyncio.sleep(0)
        gone.cancel()
        work.go.set()
        assert (await first, await kept) == (1, 9)
        assert work.batches == [[1], [3]]

    asyncio.run(story())


def test_a_template_that_takes_too_much_fails_no_other_of_its_batch() -> None:
    greedy = "{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}"
    fine = "Hey {{ profile.first_name }}"
    renderer = Renderer()
    try:
        texts = renderer.render_all(
            [({"text": source}, DATA) for source in (fine, greedy, fine, "{{ 1 | divided_by: 0 }}")]
        )
    finally:
        renderer.close()
    assert texts[0] == texts[2] == {"text": "Hey Beth"}
    assert isinstance(texts[1], RenderFailed)
    assert isinstance(texts[3], RenderFailed)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_each_message_of_a_batch_has_a_fate_of_its_own(world: World) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=True)
    receiver.concurrency = 50
    people = [profile_id(0, number) for number in range(1, 41)]
    facts = [template("Hey"), template("{{ 1 | divided_by: 0 }}", template_id="broken"), tick()]
    for person in people[::2]:
        facts[:0] = [attributes(person, phone=f"+1202555{person:04d}"), consent(person, sms=1)]
    facts[:0] = reachable(people[1])[:2]
    intents = [send(str(each), person=each, index=len(facts) - 1) for each in people]
    intents[0].send.template_id = "broken"
    intents[2].send.expire_ms = NOON
    world.feed(*facts, intents=intents)
    asyncio.run(world.dispatch())
    fates = {each: world.fate(str(each)) for each in people}
    assert fates[people[0]] == (FAILED, "template_failed")
    assert fates[people[1]] == (SENT, "")
    assert fates[people[2]] == (DISCARDED, "expired")
    assert {fates[each] for each in people[4::2]} == {(SENT, "")}
    assert {fates[each] for each in people[3::2]} == {(DISCARDED, "no_address")}
    assert len(receiver.calls) == receiver.sent == 19
    assert len(world.outcomes()) == len(people)
