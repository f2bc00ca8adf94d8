"""Killed between any two steps and started again: the same messages, and none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from messaging_world import (
    BETH,
    NOON,
    SECOND,
    SENT,
    UNKNOWN,
    World,
    attributes,
    message_id,
    reachable,
    send,
    tick,
)
from sqlalchemy import select

from coterie.type.v1 import message_pb2 as type_pb2
from services.kit import sql_stage
from services.kit.ids import profile_id
from services.messaging import dispatcher, relay, tables
from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.providers.port import Letter

STEPS = (
    "messaging.committed",
    "messaging.claimed",
    "messaging.called",
    "messaging.settled",
    "messaging.reported",
)
TRANSACTIONAL = type_pb2.PURPOSE_TRANSACTIONAL
MARKETING = type_pb2.PURPOSE_UNSPECIFIED


class Killed(BaseException):
    """The process ended here."""


class Receiver:
    """A provider that notes every call; `idempotent` ones send each key once."""

    concurrency = 4

    def __init__(self, *, idempotent: bool) -> None:
        self.idempotent = idempotent
        self.calls: list[Letter] = []
        self.called = asyncio.Event()

    @property
    def sent(self) -> int:
        keys = [letter.message_id for letter in self.calls]
        return len(set(keys)) if self.idempotent else len(keys)

    async def send(self, letter: Letter) -> Answer:
        self.calls.append(letter)
        self.called.set()
        return Answer(Outcome.ACCEPTED)

    async def close(self) -> None:
        pass


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


class Death:
    """Kills at the n-th visit to a step; until the process starts again no other one is passed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: str, visit: int) -> None:
        self._step = step
        self._left = visit
        self._dead = False
        for module in (sql_stage, dispatcher, relay):
            monkeypatch.setattr(module, "failpoint", self._pass)

    def over(self) -> None:
        """Let the process start again, and live."""
        assert self._dead
        self._dead, self._step = False, ""

    def _pass(self, name: str) -> None:
        if name == self._step:
            self._left -= 1
            self._dead = self._dead or not self._left
        if self._dead:
            raise Killed(name)


async def live(world: World) -> None:
    """Apply what is in the log, look after what was left, send and tell; then go on in time."""
    world.apply()
    await world.dispatcher.recover()
    for second in range(1, 4):
        await world.dispatch()
        world.feed(tick(), at=NOON + second * 5 * SECOND)


def through_a_crash(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, visit: int = 1
) -> None:
    death = Death(monkeypatch, step, visit)
    with pytest.raises(Killed):
        asyncio.run(live(world))
    death.over()
    world.restart()
    asyncio.run(live(world))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("purpose", [MARKETING, TRANSACTIONAL])
def test_an_idempotent_provider_sends_each_message_once(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, purpose: int
) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=True)
    world.append(*reachable(), tick(), intents=[send(index=3, purpose=purpose)])
    through_a_crash(world, monkeypatch, step)
    assert receiver.sent == 1
    assert world.fate() == (SENT, "")
    told = {each.input_id: each.message_outcome.state for each in world.outcomes()}
    assert list(told.values()) == [SENT]


@pytest.mark.parametrize("step", STEPS)
def test_a_blind_provider_never_sends_marketing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=False)
    world.append(*reachable(), tick(), intents=[send(index=3)])
    through_a_crash(world, monkeypatch, step)
    in_doubt = step in {"messaging.claimed", "messaging.called"}
    assert world.fate() == ((UNKNOWN, "no_answer") if in_doubt else (SENT, ""))
    assert receiver.sent == (0 if step == "messaging.claimed" else 1)
    assert len({each.input_id for each in world.outcomes()}) == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_blind_provider_sends_a_transactional_message_once_more_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=False)
    world.append(*reachable(), tick(), intents=[send(index=3, purpose=TRANSACTIONAL)])
    through_a_crash(world, monkeypatch, step)
    assert world.fate() == (SENT, "")
    assert receiver.sent == (2 if step == "messaging.called" else 1)


# The process dies with the first message of a batch on its way, or with some that have gone.
MIDST = [
    ("messaging.committed", 1),
    *((step, visit) for step in ("messaging.claimed", "messaging.called") for visit in (1, 3, 7)),
    ("messaging.settled", 1),
    ("messaging.reported", 1),
]
NAMES = [f"m{number}" for number in range(9)]


@pytest.mark.parametrize(("step", "visit"), MIDST)
def test_an_idempotent_provider_sends_each_message_of_a_batch_once(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, visit: int
) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=True)
    world.append(*reachable(), tick(), intents=[send(name, index=3) for name in NAMES])
    through_a_crash(world, monkeypatch, step, visit)
    assert {world.fate(name) for name in NAMES} == {(SENT, "")}
    # One key stands for one body, also where it was handed over twice.
    assert len(set(receiver.calls)) == receiver.sent == len(NAMES)
    assert len({each.input_id for each in world.outcomes()}) == len(NAMES)


@pytest.mark.parametrize(("step", "visit"), MIDST)
def test_a_blind_provider_sends_no_marketing_of_a_batch_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, visit: int
) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=False)
    world.append(*reachable(), tick(), intents=[send(name, index=3) for name in NAMES])
    through_a_crash(world, monkeypatch, step, visit)
    called = [letter.message_id for letter in receiver.calls]
    assert len(set(called)) == len(called)
    for name in NAMES:
        assert world.fate(name) in {(SENT, ""), (UNKNOWN, "no_answer")}
        assert message_id(name) in called or world.fate(name)[0] == UNKNOWN
    assert len({each.input_id for each in world.outcomes()}) == len(NAMES)


def test_what_is_called_was_claimed_before_on_disk(world: World) -> None:
    begun: list[bool] = []

    class Looking(Receiver):
        async def send(self, letter: Letter) -> Answer:
            begun.append(letter.message_id in await asyncio.to_thread(_begun, world))
            return await super().send(letter)

    world.providers[Lane.SMS] = Looking(idempotent=False)
    world.feed(*reachable(), tick(), intents=[send(name, index=3) for name in NAMES])
    asyncio.run(world.dispatch())
    assert begun == [True] * len(NAMES)


def test_after_a_suppression_has_returned_nothing_is_begun_for_the_address(world: World) -> None:
    people = [profile_id(0, number) for number in range(1, 81)]
    phone = "+44 20 7946 0000"
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=True)
    facts = [*reachable(), *(attributes(each, phone=phone) for each in people), tick()]
    last = len(facts) - 1
    intents = [send(str(each), person=each, purpose=TRANSACTIONAL, index=last) for each in people]
    world.feed(*facts, intents=intents)

    async def race() -> tuple[set[str], set[str]]:
        sending = asyncio.create_task(world.dispatch())
        await receiver.called.wait()
        await asyncio.to_thread(world.store.suppress, Lane.SMS, "+442079460000", 1, NOON)
        begun = await asyncio.to_thread(_begun, world)
        await sending
        return begun, _begun(world)

    begun, in_the_end = asyncio.run(race())
    assert begun == in_the_end
    assert 0 < len(begun) < len(people)


def _begun(world: World) -> set[str]:
    with world.database.read() as connection:
        return set(connection.execute(select(tables.attempts.c.message_id)).scalars())


def test_two_dispatchers_at_once_hand_a_message_over_once(world: World) -> None:
    receiver = world.providers[Lane.SMS] = Receiver(idempotent=False)
    world.feed(*reachable(), tick(), intents=[send(index=3)])
    other = dispatcher.Dispatcher(
        world.ledger, world.renderer, world.providers, world.tracing, lambda: None
    )

    async def both() -> None:
        await asyncio.gather(world.dispatcher.send_due(), other.send_due())
        await asyncio.gather(world.dispatcher.idle(), other.idle())

    asyncio.run(both())
    assert [letter.message_id for letter in receiver.calls] == [message_id("m")]
    assert world.message().profile_id == BETH
