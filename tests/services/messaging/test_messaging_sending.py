"""From an intent to a provider: what is sent, what is not, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from messaging_stories import play
from messaging_world import (
    BETH,
    CANCELLED,
    DISCARDED,
    FAILED,
    HOUR,
    IN,
    NOON,
    OUT,
    PENDING,
    PHONE,
    SECOND,
    SENT,
    SMS,
    World,
    attributes,
    cancel,
    consent,
    event,
    reachable,
    send,
    template,
    tick,
)

from coterie.type.v1 import message_pb2 as type_pb2
from services.kit.ids import derive_id
from services.kit.log.port import LogError
from services.messaging import dispatcher
from services.messaging.domain.lanes import Lane
from services.messaging.providers.http import HttpProvider
from tests.mailbox import (
    HttpMailbox,
    answer,
    in_company,
)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_message_reaches_the_provider_once_and_is_told(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        await world.dispatch()
        (request,) = mailbox.requests
        message = world.message()
        assert request.key == message.name.removeprefix("messages/")
        assert request.body["to"] == PHONE
        assert request.body["text"] == "Hey Beth"
        assert request.body["channel"] == "sms"
        assert message.state == SENT
        assert message.channel == SMS
        assert message.content.text == "Hey Beth"
        assert message.send_time.ToMilliseconds() == NOON
        assert [each.detail for each in message.attempts] == ["provider-1"]
        assert [each.verdict for each in message.checks] == ["chosen"]
        (outcome,) = world.outcomes()
        assert outcome.input_id == derive_id("outcome", request.key)
        assert outcome.message_outcome.state == SENT
        assert outcome.message_outcome.instance_id == "i"
        assert world.store.waiting(1)[0].in_flight == 0

    play(world, story)


def test_without_consent_nothing_is_sent_and_the_reason_is_kept(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.feed(attributes(phone=PHONE), template("x"), tick(), intents=[send(index=2)])
        await world.dispatch()
        assert not mailbox.requests
        assert world.fate() == (DISCARDED, "no_consent")
        assert [each.message_outcome.reason for each in world.outcomes()] == ["no_consent"]

    play(world, story)


def test_a_transactional_message_needs_no_consent(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        facts = attributes(phone=PHONE), consent(sms=OUT), template("x"), tick()
        world.feed(*facts, intents=[send(purpose=type_pb2.PURPOSE_TRANSACTIONAL, index=3)])
        await world.dispatch()
        assert len(mailbox.requests) == 1

    play(world, story)


def test_what_happens_in_the_instant_of_an_intent_comes_before_it_is_decided(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.feed(*reachable(), intents=[send(index=2)])
        assert world.store.waiting(1)[0].next_due_ms == NOON
        world.feed(consent(sms=OUT))
        world.feed(tick())
        await world.dispatch()
        assert not mailbox.requests
        assert world.fate() == (DISCARDED, "no_consent")

    play(world, story)


def test_a_later_input_ends_the_instant_and_comes_too_late(world: World) -> None:
    world.feed(*reachable(), intents=[send(index=2)])
    world.feed(consent(sms=OUT), at=NOON + 5)
    assert world.message().checks[0].verdict == "chosen"
    assert world.fate() == (PENDING, "")


def test_on_a_system_clock_an_intent_is_decided_at_once() -> None:
    world = World(exact=False)
    world.feed(*reachable(), intents=[send(index=2)])
    assert world.store.waiting(1)[0].in_flight == 1
    world.close()


def test_consent_that_is_withdrawn_before_the_claim_stops_the_message(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        world.feed(consent(sms=OUT))
        await world.dispatch()
        assert not mailbox.requests
        assert world.fate() == (DISCARDED, "no_consent")

    play(world, story)


def test_a_suppressed_address_gets_nothing_whatever_the_purpose(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        purpose = type_pb2.PURPOSE_TRANSACTIONAL
        world.feed(*reachable(), tick(), intents=[send(purpose=purpose, index=3)])
        assert world.store.suppress(Lane.SMS, PHONE, 1, NOON) == NOON
        await world.dispatch()
        assert not mailbox.requests
        assert world.fate() == (DISCARDED, "suppressed")

    play(world, story)


def test_a_withdrawn_message_is_not_sent(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.feed(*reachable(), tick(), intents=[send(index=3), cancel(index=3)])
        await world.dispatch()
        assert not mailbox.requests
        assert world.fate() == (CANCELLED, "withdrawn")
        assert len(world.outcomes()) == 1

    play(world, story)


def test_what_was_not_sent_before_it_expired_is_not_sent(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = answer("503 Busy", "Retry-After: 60")
        world.feed(*reachable(), tick(), intents=[send(expire_ms=NOON + 30 * SECOND, index=3)])
        await world.dispatch()
        assert world.fate() == (PENDING, "")
        mailbox.behaviour = answer("200 OK")
        assert world.store.waiting(1)[0].next_due_ms == NOON + 30 * SECOND
        world.feed(tick(), at=NOON + 30 * SECOND)
        await world.dispatch()
        assert world.fate() == (DISCARDED, "expired")
        assert len(mailbox.requests) == 1

    play(world, story)


def test_a_channel_without_a_provider_fails_at_once(world: World) -> None:
    world.feed(*reachable(), tick(), intents=[send(index=3)])
    asyncio.run(world.dispatch())
    assert world.fate() == (FAILED, "unreachable")
    assert world.message().attempts[0].detail == "no_provider"


def test_a_template_that_is_not_there_fails_the_message(world: World) -> None:
    world.feed(attributes(phone=PHONE), consent(sms=IN), tick(), intents=[send(index=2)])
    asyncio.run(world.dispatch())
    assert world.fate() == (FAILED, "template_failed")


def test_a_template_that_cannot_be_made_for_this_person_fails_the_message(world: World) -> None:
    facts = attributes(phone=PHONE), consent(sms=IN), template("{{ 1 | divided_by: 0 }}"), tick()
    world.feed(*facts, intents=[send(index=3)])
    asyncio.run(world.dispatch())
    assert world.fate() == (FAILED, "template_failed")
    assert not world.message().attempts


def test_no_more_messages_are_on_their_way_to_a_provider_than_it_takes(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = in_company
        names = [f"m{number}" for number in range(60)]
        world.feed(*reachable(), tick(), intents=[send(name, index=3) for name in names])
        await world.dispatch()
        assert len(mailbox.taken) == len(mailbox.requests) == 60
        assert 1 < mailbox.most_at_once <= HttpProvider.concurrency

    play(world, story)


def test_an_optimal_message_waits_for_the_hour_and_looks_again(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        facts = [event("message.clicked", NOON - 21 * HOUR), event("message.opened", NOON - HOUR)]
        intent = send(timing=type_pb2.TIMING_OPTIMAL, index=5)
        world.feed(*reachable(), *facts, tick(), intents=[intent])
        # 15:00 and 11:00, once each: the earlier hour of the day, and it is over for today.
        due_ms = NOON + 23 * HOUR
        assert world.message().due_time.ToMilliseconds() == due_ms
        await world.dispatch()
        assert not mailbox.requests
        world.feed(attributes(phone="+99 5555 5555"))
        world.feed(tick(), at=due_ms)
        await world.dispatch()
        assert [each.body["to"] for each in mailbox.requests] == ["+99 5555 5555"]

    play(world, story)


def test_a_note_to_the_staff_needs_no_address(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.providers[Lane.ASSISTANT] = world.providers[Lane.SMS]
        intent = send("m", type_pb2.SEND_CHANNEL_ASSISTANT, index=1)
        world.feed(template("Call her"), tick(), intents=[intent])
        await world.dispatch()
        assert mailbox.requests[0].body["channel"] == "assistant"
        assert world.message().assistant
        assert world.message().profile_id == BETH

    play(world, story)


def test_a_log_that_fails_while_the_dispatcher_looks_does_not_end_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "PAUSE_S", 0)
    looks = iter([LogError("the disk is away"), False])

    async def story() -> None:
        again = asyncio.Event()

        def is_ready() -> bool:
            look = next(looks)
            if isinstance(look, LogError):
                raise look
            again.set()
            return look

        sending = asyncio.create_task(world.dispatcher.run(is_ready))
        async with asyncio.timeout(20):
            while not again.is_set():
                world.dispatcher.wake()
                await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    asyncio.run(story())


@pytest.mark.parametrize("turns", range(8))
def test_a_stop_in_the_turn_of_a_wake_ends_the_dispatcher(world: World, turns: int) -> None:
    async def story() -> None:
        waits = asyncio.Event()

        def is_ready() -> bool:
            waits.set()
            return False

        sending = asyncio.create_task(world.dispatcher.run(is_ready))
        await waits.wait()
        world.dispatcher.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        sending.cancel()
        ended, _ = await asyncio.wait({sending}, timeout=5)
        assert ended == {sending}

    asyncio.run(story())
