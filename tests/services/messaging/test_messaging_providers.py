"""What a provider does, and what becomes of the message."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from messaging_stories import play
from messaging_world import (
    CANCELLED,
    FAILED,
    HOUR,
    NOON,
    OUT,
    PENDING,
    SECOND,
    SENT,
    UNKNOWN,
    World,
    attributes,
    cancel,
    consent,
    reachable,
    send,
    tick,
)
from structlog.testing import capture_logs

from services.messaging.domain.lanes import Lane
from services.messaging.providers.http import HttpProvider
from tests.mailbox import (
    HttpMailbox,
    answer,
    answer_twice,
    hang_up,
    stay_silent,
    trickle,
)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_busy_provider_is_tried_again_when_log_time_has_come(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = answer("429 Too Many Requests", "Retry-After: 7")
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        with capture_logs() as lines:
            await world.dispatch()
        (told,) = [line for line in lines if line["event"] == "provider_away"]
        assert (told["channel"], told["outcome"], told["detail"]) == ("sms", "busy", "429")
        assert world.fate() == (PENDING, "")
        assert world.store.waiting(1)[0].next_due_ms == NOON + 7 * SECOND
        mailbox.behaviour = answer("201 Created")
        world.feed(tick(), at=NOON + 7 * SECOND)
        await world.dispatch()
        assert world.fate() == (SENT, "")
        assert [each.outcome for each in world.message().attempts] == ["busy", "accepted"]
        assert len({each.raw for each in mailbox.requests}) == 1

    play(world, story)


def test_a_provider_that_refuses_ends_the_message(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = answer("422 Unprocessable")
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        assert world.fate() == (FAILED, "refused")
        assert world.message().attempts[0].detail == "422"

    play(world, story)


@pytest.mark.parametrize("behaviour", [stay_silent, hang_up, trickle, answer("500 Oh")])
def test_an_unanswered_call_is_made_again_with_the_same_key_and_body(
    world: World, behaviour: Any
) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = behaviour
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        assert world.fate() == (PENDING, "")
        assert world.message().attempts[0].outcome == "no_answer"
        # Whatever the person is called by now: one key stands for one body.
        world.feed(attributes(first_name="Elizabeth"))
        mailbox.behaviour = answer("200 OK")
        world.providers[Lane.SMS] = patient = HttpProvider(mailbox.url)
        world.feed(tick(), at=NOON + SECOND)
        await world.dispatch()
        await patient.close()
        assert world.fate() == (SENT, "")
        assert len(mailbox.requests) == 2
        assert len({(each.key, each.raw) for each in mailbox.requests}) == 1

    play(world, story, patience_s=1)


def test_an_answer_that_comes_twice_is_one_answer(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = answer_twice
        world.feed(*reachable(), tick(), intents=[send("a", index=3), send("b", index=3)])
        await world.dispatch()
        assert world.fate("a") == world.fate("b") == (SENT, "")
        assert len(mailbox.requests) == 2

    play(world, story)


def test_consent_withdrawn_after_an_unanswered_call_leaves_it_unknown(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = hang_up
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        world.feed(consent(sms=OUT), tick(), at=NOON + SECOND)
        await world.dispatch()
        assert world.fate() == (UNKNOWN, "no_answer")
        assert len(mailbox.requests) == 1

    play(world, story)


def test_a_message_withdrawn_after_an_unanswered_call_may_have_been_sent(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = hang_up
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        world.feed(tick(), at=NOON + SECOND, intents=[cancel(index=0)])
        await world.dispatch()
        assert world.fate() == (UNKNOWN, "no_answer")
        assert len(mailbox.requests) == 1

    play(world, story)


def test_a_message_withdrawn_while_its_provider_is_busy_was_not_sent(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = answer("503 Busy")
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        world.feed(tick(), at=NOON + SECOND, intents=[cancel(index=0)])
        await world.dispatch()
        assert world.fate() == (CANCELLED, "withdrawn")

    play(world, story)


@pytest.mark.parametrize(
    ("said", "fate"),
    [
        (answer("503 Busy"), (CANCELLED, "withdrawn")),
        (hang_up, (UNKNOWN, "no_answer")),
        (answer("200 OK"), (SENT, "")),
    ],
)
def test_a_message_withdrawn_while_its_call_is_under_way_is_not_tried_again(
    world: World, said: Any, fate: tuple[int, str]
) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        async def withdrawn_meanwhile(mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
            world.feed(tick(), intents=[cancel(index=0)])
            await said(mailbox, writer)

        mailbox.behaviour = withdrawn_meanwhile
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        await world.dispatch()
        mailbox.behaviour = answer("200 OK")
        world.feed(tick(), at=NOON + HOUR)
        await world.dispatch()
        assert world.fate() == fate
        assert len(mailbox.requests) == 1

    play(world, story)


def test_a_message_that_expires_after_an_unanswered_call_may_have_been_sent(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        mailbox.behaviour = hang_up
        world.feed(*reachable(), tick(), intents=[send(index=3, expire_ms=NOON + SECOND)])
        await world.dispatch()
        world.feed(tick(), at=NOON + HOUR)
        await world.dispatch()
        assert world.fate() == (UNKNOWN, "no_answer")

    play(world, story)


def test_a_provider_that_is_away_for_a_day_is_given_up(world: World) -> None:
    async def story(world: World, mailbox: HttpMailbox) -> None:
        world.feed(*reachable(), tick(), intents=[send(index=3)])
        for _ in range(200):
            await world.dispatch()
            due_ms = world.store.waiting(1)[0].next_due_ms
            if due_ms is None:
                break
            world.feed(tick(), at=due_ms)
        assert world.fate() == (FAILED, "unreachable")
        assert len(world.message().attempts) > 90
        assert due_ms is None

    async def run() -> None:
        # It has the port, so that nobody else gets it, and does not listen.
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            http = HttpProvider(f"http://127.0.0.1:{deaf.getsockname()[1]}/", timeout_s=10)
            world.providers[Lane.SMS] = http
            await story(world, HttpMailbox())
            await http.close()

    asyncio.run(run())
