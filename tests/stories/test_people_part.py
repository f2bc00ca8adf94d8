"""An un-merge and an erasure through all services: who gets what is still to be sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as journeys_pb
from coterie.messaging.v1 import messaging_service_pb2 as messaging_pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.type.v1 import change_pb2
from services.host.client import Client
from services.host.demo.phone import Phones
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from tests.pipeline.harness import LATEST, identity, who
from tests.stories import playing
from tests.stories.drawing import START
from tests.stories.story import HOUR, Input, Journey, Rows, Step, Story

ADA, BEA = "+46700000001", "+46700000002"
NUDGE = Journey(
    "nudge",
    (Step("wait", "wait", HOUR), Step("send", "send", channels=("sms",))),
    rows=Rows("visit"),
    key="event",
)
SHELF = (Input(START, "catalog", sku="s1", category="c", stock=1),)
STORY = Story(0, START, START + 9 * HOUR, {}, {"nudge": NUDGE}, SHELF, (), ())


def said(at: int, name: str, phone: str) -> list[Input]:
    return [
        Input(at, "attributes", (name,), time_ms=at, values=(("phone", phone),)),
        Input(at, "consent", (name,), time_ms=at, values=(("sms", "in"),)),
    ]


def visit(at: int, event_id: str, *ids: str, kind: str = "visit") -> Input:
    return Input(at, "event", ids, event_id, kind, at)


class Play:
    """A suite that is started again between two acts."""

    def __init__(self, directory: Path, partitions: int, providers: dict[str, str]) -> None:
        self._config = Config(
            data_dir=directory,
            clock="virtual",
            ports=FREE_PORTS,
            partitions=partitions,
            providers=providers,
            log_level="error",
        )

    async def act(self, *inputs: Input, until: int, then: str = "") -> list[tuple[str, str]]:
        """Let inputs arrive and time pass; return (state, reason) of all messages, as asked for."""
        suite = Suite(self._config)
        await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                if inputs and inputs[0].at_ms == START:
                    await client.tick(START)
                    await playing._define(client, STORY)
                for each in inputs:
                    await client.advance(each.at_ms)
                    await playing._send(client, [each])
                    await client.settle()
                await self._then(client, then)
                await client.advance(until)
                return await _messages(client)
        finally:
            await suite.stop()

    async def _then(self, client: Client, then: str) -> None:
        verb, _, name = then.partition(" ")
        if verb == "unlink":
            await client.identity.Unlink(identity_pb.UnlinkRequest(identities=[identity(name)]))
        elif verb == "erase":
            await client.profile.EraseProfile(profile_pb.EraseProfileRequest(who=who(name)))


async def _messages(client: Client) -> list[tuple[str, str]]:
    request = messaging_pb.ListMessagesRequest(page_size=100, consistency=LATEST)
    found = list((await client.messaging.ListMessages(request)).messages)
    seen = [dict(playing._message(each, {}).what) for each in reversed(found)]
    return [(each["state"], each["reason"]) for each in seen]


async def _reasons(client: Client) -> list[int]:
    request = journeys_pb.ListInstancesRequest(page_size=100, consistency=LATEST)
    return [one.end_reason for one in (await client.journey.ListInstances(request)).instances]


@pytest.mark.parametrize("partitions", [1, 4])
def test_each_gets_what_is_theirs_and_the_erased_nothing(partitions: int, tmp_path: Path) -> None:
    with Phones() as phones:
        play = Play(tmp_path / "data", partitions, {"sms": phones.url})

        async def told() -> None:
            first = [
                *said(START, "crm:a", ADA),
                *said(START + 1, "ecid:1", BEA),
                visit(START + 2, "e0", "crm:a", "ecid:1", kind="view"),
                visit(START + 3, "e1", "crm:a"),
                visit(START + 4, "e2", "ecid:1"),
            ]
            assert await play.act(*first, until=START + HOUR // 2) == []
            sent = await play.act(until=START + HOUR // 2 + 1, then="unlink ecid:1")
            assert sent == []
            both = [("sent", ""), ("sent", "")]
            assert await play.act(until=START + 2 * HOUR) == both
            assert [len(phones.texts_to(number)) for number in (ADA, BEA)] == [1, 1]
            later = START + 2 * HOUR + 1
            again = await play.act(
                visit(later, "e3", "crm:a"), until=later + HOUR // 2, then="erase crm:a"
            )
            assert again == both
            assert await play.act(until=START + 6 * HOUR) == both
            # Whoever comes with the address is a new person, and is not written to.
            newcomer = [*said(START + 6 * HOUR + 1, "crm:a", ADA)]
            newcomer.append(visit(START + 6 * HOUR + 2, "e4", "crm:a"))
            assert await play.act(*newcomer, until=START + 8 * HOUR) == [
                *both,
                ("discarded", "suppressed"),
            ]
            assert [len(phones.texts_to(number)) for number in (ADA, BEA)] == [1, 1]
            await _last_look(play)

        asyncio.run(told())


async def _last_look(play: Play) -> None:
    suite = Suite(play._config)
    await suite.start()
    try:
        async with Client(suite.addresses()) as client:
            assert sorted(await _reasons(client)) == [
                journey_pb2.END_REASON_COMPLETED,
                journey_pb2.END_REASON_COMPLETED,
                journey_pb2.END_REASON_COMPLETED,
                journey_pb2.END_REASON_ERASED,
            ]
            request = messaging_pb.GetSuppressionRequest(
                channel=change_pb2.CHANNEL_SMS, address=ADA
            )
            found = await client.messaging.GetSuppression(request)
            assert found.reason == messaging_pb.SUPPRESSION_REASON_ERASED
    finally:
        await suite.stop()
