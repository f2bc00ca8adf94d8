"""The product on PostgreSQL: the same answers as on files, through restarts, kills and crashes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc.aio
import pytest
from sqlalchemy import create_engine, text

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from services.kit.log.port import Record
from services.kit.log.sql import SqlLog
from services.kit.sql import Database
from tests.pipeline.harness import LATEST, App, connected, running, who
from tests.pipeline.processes import start_all, stop
from tests.pipeline.test_log_is_the_truth import play
from tests.pipeline.week import PEOPLE, RULES, live_a_week, picture, set_up
from tests.postgres import Server, own_server

AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.fixture
def server() -> Iterator[Server]:
    """Give a server that the test may crash."""
    own = own_server()
    yield own
    own.stop()


async def events_of_all(app: App) -> list[int]:
    """Return how many events each person has: an event lost or taken twice shows here."""
    counts = []
    for number in range(PEOPLE):
        request = profile_pb.GetProfileRequest(who=who(f"crm:{number}"), consistency=LATEST)
        counts.append((await app.profile.GetProfile(request)).profile.event_count)
    return counts


async def seen(app: App) -> tuple[dict[str, object], list[int]]:
    return await picture(app), await events_of_all(app)


def on_files(directory: Path, seed: int) -> tuple[dict[str, object], list[int]]:
    async def story() -> tuple[dict[str, object], list[int]]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=seed)
            return await seen(app)

    return asyncio.run(story())


def test_a_week_with_a_restart_is_the_week_on_files(tmp_path: Path, postgres_database: str) -> None:
    async def halves() -> tuple[dict[str, object], list[int]]:
        place = tmp_path / "server"
        async with running(place, database_url=postgres_database) as app:
            await set_up(app)
            await live_a_week(app, seed=17, days=4)
        async with running(place, database_url=postgres_database) as app:
            await live_a_week(app, seed=17)
            return await seen(app)

    answers = asyncio.run(halves())
    assert answers == on_files(tmp_path / "files", seed=17)
    assert any(answers[0][name] for name in RULES)
    assert not list((tmp_path / "server").glob("*.db"))


def test_each_service_has_a_schema_of_its_own(tmp_path: Path, postgres_database: str) -> None:
    async def once() -> None:
        async with running(tmp_path / "server", database_url=postgres_database):
            pass

    asyncio.run(once())
    engine = create_engine(postgres_database)
    query = text("SELECT schemaname, tablename FROM pg_tables WHERE tablename = ANY(:names)")
    names = ["logs", "journal", "timeline", "stage_positions"]
    with engine.connect() as connection:
        found = {tuple(row) for row in connection.execute(query, {"names": names})}
    engine.dispose()
    wanted = {("log", "logs"), ("identity", "journal"), ("profile", "timeline")}
    assert wanted <= found
    assert ("identity", "stage_positions") in found
    assert not [name for schema, name in found if schema == "public"]


def test_a_server_that_crashes_in_the_middle_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, server: Server
) -> None:
    async def crash(app: App) -> None:
        sending = asyncio.create_task(live_a_week(app, seed=29))
        while max(each.inbound_position for each in await app.client.progress()) < 30:
            assert not sending.done(), "the week was over before the crash"
            await asyncio.sleep(0)
        await asyncio.to_thread(server.crash)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            async with asyncio.timeout(60):
                await sending
        assert failed.value.code() in AWAY
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await events_of_all(app)
        assert failed.value.code() in AWAY
        await asyncio.to_thread(server.start)

    async def story() -> list[int]:
        async with running(tmp_path / "server", database_url=server.url()) as app:
            await set_up(app)
            await crash(app)
            await live_a_week(app, seed=29)
            return await events_of_all(app)

    counts = asyncio.run(story())
    # What the gateway stamped for the batch that failed it does not stamp again: later is possible,
    # so it is not the audiences that are the same as on files, but what they are made of.
    assert counts == on_files(tmp_path / "files", seed=29)[1]
    facts, transitions = (records_of(server.url(), name) for name in ("facts-0", "transitions-0"))
    assert not any(record.dead_letter for record in (*facts, *transitions))
    ids = [fact.input_id for record in facts for fact in facts_of(record) if fact.event.event_id]
    assert len(ids) == len(set(ids)) == sum(counts)
    told = [(each.seq, each.source, each.payload) for each in facts]
    _, replayed = play(told, len(told), tmp_path / "none")
    assert replayed == [each.payload for each in transitions]


def records_of(url: str, name: str) -> list[Record]:
    """Return a whole log, as it is on the server."""
    database = Database(url, "log")
    log = SqlLog(database, name)
    records: list[Record] = []
    while found := log.read(len(records), 1000):
        records += found
    database.close()
    return records


def facts_of(record: Record) -> Sequence[Fact]:
    return FactPack.FromString(record.payload).facts


@contextmanager
def up(directory: Path, url: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `coterie up`; a test that fails leaves no process behind."""
    process, addresses = start_all(directory, database_url=url)
    assert process.stdout is not None
    try:
        yield process, addresses
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def test_a_killed_process_goes_on_where_its_tables_are(
    tmp_path: Path, postgres_database: str
) -> None:
    async def until_the_kill(process: subprocess.Popen[str], addresses: dict[str, str]) -> None:
        async with connected(addresses) as app:
            await set_up(app)
            sending = asyncio.create_task(live_a_week(app, seed=33))
            while max(each.inbound_position for each in await app.client.progress()) < 25:
                assert not sending.done(), "the week was over before the kill"
                await asyncio.sleep(0)
            process.kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await sending

    async def all_again(addresses: dict[str, str]) -> tuple[dict[str, object], list[int]]:
        async with connected(addresses) as app:
            await live_a_week(app, seed=33)
            return await seen(app)

    with up(tmp_path, postgres_database) as (process, addresses):
        asyncio.run(until_the_kill(process, addresses))
    with up(tmp_path, postgres_database) as (process, addresses):
        answers = asyncio.run(all_again(addresses))
        assert stop(process) == 0
    assert answers == on_files(tmp_path / "files", seed=33)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/shop", "PostgreSQL at 127.0.0.1:1, database"),
        ("postgresql+psycopg:///shop?host=/nowhere&password=secret", "PostgreSQL at /nowhere"),
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/shop?sslmode=maybe", "sslmode"),
    ],
    ids=["refused", "no socket", "no such option"],
)
def test_a_server_that_does_not_answer_is_one_clear_line(
    tmp_path: Path, url: str, said: str
) -> None:
    command = [str(Path(sys.executable).with_name("coterie")), "up", "--data", str(tmp_path / "d")]
    environment = {**os.environ, "COTERIE_DATABASE_URL": url, "COTERIE_PORTS": str(_ANY_PORT)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Error: database_url: ")
    assert said in line
    assert "secret" not in done.stderr + done.stdout


_ANY_PORT = dict.fromkeys(("identity", "profile", "segmentation", "messaging", "journey"), 0)
