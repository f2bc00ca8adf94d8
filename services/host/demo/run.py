"""Plays the story through the gRPC APIs: against a running suite, or one that it starts itself."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coterie.messaging.v1 import message_pb2
from coterie.profile.v1 import profile_service_pb2
from coterie.segmentation.v1 import audience_pb2, segmentation_service_pb2
from coterie.type.v1 import message_pb2 as message_types
from services.host import report
from services.host.client import Client
from services.host.demo.definitions import Definitions
from services.host.demo.diary import Diary
from services.host.demo.narrator import Narrator
from services.host.demo.pace import Leaps, Pace, Seconds
from services.host.demo.phone import Phones
from services.host.demo.story import DAYS, SCHEMA, SECONDS, Person, Scene, Tempo, people, scenes
from services.host.embedded import Suite
from services.kit.clock import SystemClock
from services.kit.config import FREE_PORTS, Config
from services.kit.ids import new_id

STORY_STARTS_MS = 1_762_768_800_000
"""2025-11-10T10:00:00Z, a Monday: the virtual story is the same each time."""

WAIT_S = 30.0
LOOK_S = 0.02
CLOCK_LOOKS, CLOCK_LOOK_S = 20, 0.25
CLOCK_APART_MS = 3_600_000
"""As far as two machines' clocks, or a suite that catches up, may be from ours."""


class StoryFailed(Exception):
    """The story did not come out: what was expected, and what was found."""


@dataclass(frozen=True, slots=True)
class _Cast:
    client: Client
    beth: Person
    ann: Person
    definitions: Definitions
    diary: Diary


async def play_own(narrator: Narrator, *, fast: bool) -> None:
    """Start a suite on a temporary directory, and play there.

    Raises StoryFailed where the story does not come out.
    """
    tempo = SECONDS if fast else DAYS
    with Phones() as phones, tempfile.TemporaryDirectory(prefix="coterie-demo-") as folder:
        suite = Suite(
            Config(
                data_dir=Path(folder) / "data",
                clock="system" if fast else "virtual",
                ports=FREE_PORTS,
                providers={"sms": phones.url},
            )
        )
        await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                pace: Pace = (
                    Seconds(client, SystemClock()) if fast else Leaps(client, STORY_STARTS_MS)
                )
                cast = await _play(client, pace, tempo, narrator)
                _check_phones(phones, cast)
        finally:
            await suite.stop()


async def play_at(addresses: Mapping[str, str], narrator: Narrator) -> None:
    """Play against a running suite, in seconds: its clock is not ours to move."""
    clock = SystemClock()
    async with Client(addresses) as client:
        await _check_clock(client, clock)
        await _play(client, Seconds(client, clock), SECONDS, narrator)


async def _check_clock(client: Client, clock: SystemClock) -> None:
    """Raise StoryFailed unless the log's time is the machine's; a suite's first tick may be due."""
    for _ in range(CLOCK_LOOKS):
        log_ms = max(stage.log_time.ToMilliseconds() for stage in await client.progress())
        if abs(clock.now_ms() - log_ms) < CLOCK_APART_MS:
            return
        await asyncio.sleep(CLOCK_LOOK_S)
    found = f"log time {report.instant(log_ms)}" if log_ms else "a log without a time"
    raise StoryFailed(
        f"expected a suite on the machine's clock, found {found}; start one with "
        "`coterie up --data DIR` on a new directory, without --virtual-clock"
    )


async def _play(client: Client, pace: Pace, tempo: Tempo, narrator: Narrator) -> _Cast:
    beth, ann = people(new_id()[:6])
    definitions = Definitions(tempo)
    diary = Diary(
        client, definitions.audience_name, definitions.journey_name, (beth, ann), narrator.tell
    )
    cast = _Cast(client, beth, ann, definitions, diary)
    narrator.begin(tempo, pace.start_ms, definitions)
    await define(client, definitions)
    for scene in scenes(tempo, beth, ann):
        await _show(scene, pace, diary, narrator)
    await _await_message(cast)
    await _check(cast)
    await _explain(cast, narrator)
    return cast


async def define(client: Client, definitions: Definitions) -> None:
    """Declare what the story speaks of, and make its definitions live."""
    request = profile_service_pb2.ExtendSchemaRequest(schema=SCHEMA)
    await client.profile.ExtendSchema(request)
    await definitions.save_audience(client)
    get = segmentation_service_pb2.GetAudienceRequest(name=definitions.audience_name)
    async with asyncio.timeout(WAIT_S):
        while True:
            audience = (await client.segmentation.GetAudience(get)).audience
            if audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
                break
            await asyncio.sleep(LOOK_S)
    await client.messaging.PublishTemplate(definitions.template())
    await client.journey.PublishJourney(definitions.journey())


async def _show(scene: Scene, pace: Pace, diary: Diary, narrator: Narrator) -> None:
    await pace.until(scene.at_ms, diary.look)
    inputs = scene.inputs(pace.start_ms + scene.at_ms)
    if scene.words:
        narrator.tell(pace.start_ms + scene.at_ms, scene.words)
    if inputs:
        await pace.send(inputs, scene.at_ms)
        await diary.look()


async def _await_message(cast: _Cast) -> None:
    """Return once the message to Beth has its last word, or a busy machine has had its time."""
    pending = {message_types.MESSAGE_STATE_PENDING, message_types.MESSAGE_STATE_SENDING}
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while True:
                await cast.diary.look()
                states = {each.state for each in await cast.diary.messages(cast.beth)}
                if states - pending:
                    return
                await asyncio.sleep(LOOK_S)


async def _check(cast: _Cast) -> None:
    """Raise StoryFailed unless Beth got one message, and Ann none."""
    to_beth, to_ann = await asyncio.gather(
        cast.diary.messages(cast.beth), cast.diary.messages(cast.ann)
    )
    sent = [each for each in to_beth if each.state == message_types.MESSAGE_STATE_SENT]
    if len(sent) != 1:
        found = ", ".join(_what_became(each) for each in to_beth) or "none"
        raise StoryFailed(
            f"expected one message sent to Beth, found {found}; "
            "`coterie message explain ID` says more of each"
        )
    if to_ann:
        raise StoryFailed(f"expected no message to Ann, found {len(to_ann)}")
    member = await cast.diary.membership(cast.beth)
    if member.member or not member.HasField("exit_time"):
        raise StoryFailed(
            "expected that Beth has left the audience, found her a member or never in"
        )


def _what_became(message: message_pb2.Message) -> str:
    state = message_types.MessageState.Name(message.state).removeprefix("MESSAGE_STATE_").lower()
    reason = f": {message.reason}" if message.reason else ""
    return f"{message.name} {state}{reason}"


def _check_phones(phones: Phones, cast: _Cast) -> None:
    counts = [len(phones.texts_to(each.phone)) for each in (cast.beth, cast.ann)]
    if counts != [1, 0] or phones.deliveries != 1:
        raise StoryFailed(
            f"expected one text message at the provider, found {counts} "
            f"in {phones.deliveries} deliveries"
        )


async def _explain(cast: _Cast, narrator: Narrator) -> None:
    request = segmentation_service_pb2.ExplainRequest(
        audience=cast.definitions.audience_name, who=cast.beth.who
    )
    answer = await cast.client.segmentation.Explain(request)
    (message,) = await cast.diary.messages(cast.beth)
    narrator.explain_membership(answer, "Beth")
    narrator.explain_message(message)
    narrator.end(cast.beth, cast.ann)
