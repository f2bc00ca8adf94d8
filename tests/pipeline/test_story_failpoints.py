"""A kill at every failpoint of the story, and a start after it: the same messages, none twice.

`python -m tests.pipeline.test_story_failpoints` prints the table.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import grpc
import grpc.aio
import pytest

from coterie.journey.v1 import journey_pb2
from coterie.type.v1 import message_pb2 as message_types
from services.host.client import Behind, Client
from services.host.demo.definitions import Definitions
from services.host.demo.diary import Diary
from services.host.demo.pace import Leaps
from services.host.demo.phone import Phones
from services.host.demo.run import STORY_STARTS_MS, define
from services.host.demo.story import DAYS, people, scenes
from services.kit.failpoints import FAILPOINTS
from tests.pipeline.processes import start_all, stop

BETH, ANN = people("again")
LEAVING, WAITING = ":15", ":22"
ONCE_A_STORY = ("messaging.claimed", "messaging.called", "messaging.settled", "messaging.reported")
VISITS = [
    (name, visit)
    for name in FAILPOINTS
    for visit in (("",) if name in ONCE_A_STORY else (LEAVING, WAITING))
]
"""Each place as people leave the store, and as Beth waits: so many visits come before that."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen after the crash and the start."""

    crashed: bool
    scene: int
    to_beth: int
    to_ann: int
    deliveries: int
    ends: tuple[str, ...]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory in which the story is defined, and nothing has happened."""
    directory = tmp_path_factory.mktemp("prepared")
    prepare(directory)
    return directory


def prepare(directory: Path) -> None:
    async def run(addresses: dict[str, str]) -> None:
        async with Client(addresses) as client:
            await define(client, Definitions(DAYS))
            await client.settle()

    process, addresses = start_all(directory)
    try:
        asyncio.run(run(addresses))
    finally:
        assert stop(process) == 0


async def play(addresses: dict[str, str], first: int) -> int:
    """Play from the scene `first`; return how many scenes were played before the process died."""
    async with Client(addresses) as client:
        pace = Leaps(client, STORY_STARTS_MS)
        for number, scene in enumerate(scenes(DAYS, BETH, ANN)):
            if number < first:
                continue
            try:
                await pace.until(scene.at_ms, nothing)
                inputs = scene.inputs(pace.start_ms + scene.at_ms)
                if inputs:
                    await pace.send(inputs, scene.at_ms)
            except (grpc.aio.AioRpcError, Behind):
                return number
        return len(scenes(DAYS, BETH, ANN))


async def nothing() -> None:
    """Look at nothing."""


async def look(addresses: dict[str, str]) -> tuple[list[int], tuple[str, ...]]:
    """Return how many messages were sent to each, and how each journey ended."""
    async with Client(addresses) as client:
        definitions = Definitions(DAYS)
        diary = Diary(
            client,
            definitions.audience_name,
            definitions.journey_name,
            (BETH, ANN),
            lambda _at, _words: None,
        )
        sent = [
            sum(each.state == message_types.MESSAGE_STATE_SENT for each in messages)
            for messages in [await diary.messages(person) for person in (BETH, ANN)]
        ]
        ends = [
            journey_pb2.EndReason.Name(each.end_reason).removeprefix("END_REASON_").lower()
            for person in (BETH, ANN)
            for each in await diary.instances(person)
        ]
        return sent, tuple(ends)


async def crash_and_go_on(prepared: Path, directory: Path, failpoint: str) -> Outcome:
    shutil.copytree(prepared / "data", directory / "data")
    with Phones() as phones:
        providers = {"sms": phones.url}
        process, addresses = start_all(directory, failpoint=failpoint, providers=providers)
        try:
            scene = await play(addresses, 0)
            crashed = process.poll() == -signal.SIGKILL
            if crashed:
                stop(process)
                process, addresses = start_all(directory, providers=providers)
            await play(addresses, scene)
            sent, ends = await look(addresses)
        finally:
            assert stop(process) == 0
        received = [len(phones.texts_to(person.phone)) for person in (BETH, ANN)]
        assert received == sent
        return Outcome(crashed, scene, *received, phones.deliveries, ends)


@pytest.mark.parametrize(("name", "visit"), VISITS)
def test_a_kill_anywhere_changes_nothing(
    prepared: Path, tmp_path: Path, name: str, visit: str
) -> None:
    seen = asyncio.run(crash_and_go_on(prepared, tmp_path, name + visit))
    assert seen.crashed, "the story did not pass here"
    assert (seen.to_beth, seen.to_ann) == (1, 0)
    assert seen.ends == ("completed", "exit_rule")


def main() -> None:
    """Print the table."""
    counted = f"{'texts to Beth':>13} {'to Ann':>6} {'deliveries':>10}"
    head = f"{'failpoint':26} {'in scene':8} {counted}"
    click.echo(f"{head}  journeys")
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared"
        prepared.mkdir()
        prepare(prepared)
        for number, (name, visit) in enumerate(VISITS):
            directory = Path(folder) / str(number)
            directory.mkdir()
            seen = asyncio.run(crash_and_go_on(prepared, directory, name + visit))
            where = str(seen.scene) if seen.crashed else "never"
            counts = f"{seen.to_beth:13} {seen.to_ann:6} {seen.deliveries:10}"
            click.echo(f"{name + visit:26} {where:8} {counts}  {', '.join(seen.ends)}")


if __name__ == "__main__":
    main()
