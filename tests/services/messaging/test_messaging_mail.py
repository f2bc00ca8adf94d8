"""Mail over real SMTP: how it looks, and what each way to fail comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from messaging_world import (
    FAILED,
    IN,
    NOON,
    PENDING,
    SECOND,
    SENT,
    UNKNOWN,
    World,
    attributes,
    consent,
    message_id,
    send,
    template,
    tick,
)

from coterie.messaging.v1 import template_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from services.messaging.domain.attempts import Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.providers.port import Letter
from services.messaging.providers.smtp import SmtpProvider, mail_of
from tests.mailbox import Mailbox, open_mailbox

EMAIL = type_pb2.SEND_CHANNEL_EMAIL
TRANSACTIONAL = type_pb2.PURPOSE_TRANSACTIONAL
Story = Callable[[World, Mailbox], Coroutine[Any, Any, None]]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def play(world: World, story: Story) -> None:
    async def run() -> None:
        async with open_mailbox() as mailbox:
            world.providers[Lane.EMAIL] = SmtpProvider(mailbox.url, timeout_s=10)
            await story(world, mailbox)

    asyncio.run(run())


def ask(world: World, **asked: Any) -> None:
    mail = template_pb2.EmailContent(
        subject="For {{ profile.first_name }}", html="<p>Hé {{ profile.first_name }}</p>"
    )
    world.feed(
        attributes(email="beth@example.com", first_name="Beth <3"),
        consent(email=IN),
        template("Hé {{ profile.first_name }}", email=mail),
        tick(),
        intents=[send("m", EMAIL, index=3, **asked)],
    )


def test_a_mail_has_both_forms_and_an_id_of_its_own(world: World) -> None:
    async def story(world: World, mailbox: Mailbox) -> None:
        ask(world)
        await world.dispatch()
        (mail,) = mailbox.mails
        assert mailbox.recipients == ["beth@example.com"]
        assert mail["From"] == "Shop <shop@example.com>"
        assert mail["To"] == "beth@example.com"
        assert mail["Subject"] == "For Beth <3"
        assert mail["Message-ID"] == f"<{message_id('m')}@example.com>"
        plain, html = mail.iter_parts()
        assert plain.get_content().strip() == "Hé Beth <3"
        assert html.get_content().strip() == "<p>Hé Beth &lt;3</p>"
        assert world.fate() == (SENT, "")

    play(world, story)


def test_a_server_that_is_busy_is_tried_again(world: World) -> None:
    async def story(world: World, mailbox: Mailbox) -> None:
        mailbox.rcpt_answer = "451 later"
        ask(world)
        await world.dispatch()
        assert world.fate() == (PENDING, "")
        mailbox.rcpt_answer = ""
        world.feed(tick(), at=NOON + SECOND)
        await world.dispatch()
        assert world.fate() == (SENT, "")
        assert len(mailbox.mails) == 1

    play(world, story)


@pytest.mark.parametrize("place", ["rcpt_answer", "data_answer"])
def test_a_server_that_refuses_ends_the_message(world: World, place: str) -> None:
    async def story(world: World, mailbox: Mailbox) -> None:
        setattr(mailbox, place, "550 no such box")
        ask(world)
        await world.dispatch()
        assert world.fate() == (FAILED, "refused")
        assert world.message().attempts[0].detail == "550"

    play(world, story)


def test_marketing_that_was_not_confirmed_is_unknown_and_not_sent_again(world: World) -> None:
    async def story(world: World, mailbox: Mailbox) -> None:
        mailbox.break_off = True
        ask(world)
        await world.dispatch()
        assert world.fate() == (UNKNOWN, "no_answer")
        assert len(mailbox.mails) == 1
        assert world.outcomes()[0].message_outcome.state == UNKNOWN

    play(world, story)


def test_a_transactional_mail_that_was_not_confirmed_is_sent_once_more(world: World) -> None:
    async def story(world: World, mailbox: Mailbox) -> None:
        mailbox.break_off = True
        ask(world, purpose=TRANSACTIONAL)
        for second in range(1, 5):
            await world.dispatch()
            world.feed(tick(), at=NOON + second * 10 * SECOND)
        assert world.fate() == (UNKNOWN, "no_answer")
        assert len(mailbox.mails) == 2
        assert len({mail["Message-ID"] for mail in mailbox.mails}) == 1

    play(world, story)


def test_a_server_that_is_not_there_was_not_told_anything() -> None:
    async def run() -> Outcome:
        async with open_mailbox() as mailbox:
            url = mailbox.url
        return (await SmtpProvider(url, timeout_s=10).send(letter())).outcome

    assert asyncio.run(run()) is Outcome.UNREACHABLE


def letter(address: str = "beth@example.com", subject: str = "Hello") -> Letter:
    return Letter("id", Lane.EMAIL, address, "c", subject, "text", "", NOON)


@pytest.mark.parametrize("subject", ["a\r\nBcc: all@example.com", "a\nb", "a\rb"])
def test_no_header_can_be_smuggled_in(subject: str) -> None:
    with pytest.raises(ValueError, match=r"header|linefeed|carriage|newline"):
        mail_of(letter(subject=subject), "shop@example.com")


@pytest.mark.parametrize(
    "address",
    ["a@b>\r\nRCPT TO:<c@d", "a,b@example.com", "<a@b>", "a;b@example.com", "a@b, c@d", "x\0@b"],
)
def test_an_address_that_is_none_gets_no_mail(address: str) -> None:
    async def run() -> tuple[Outcome, int]:
        async with open_mailbox() as mailbox:
            answer = await SmtpProvider(mailbox.url, timeout_s=10).send(letter(address))
            return answer.outcome, len(mailbox.recipients)

    assert asyncio.run(run()) == (Outcome.REFUSED, 0)
