"""Each service as a process of its own on one directory; and what a kill changes: nothing."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

import grpc
import pytest

from tests.pipeline.harness import connected, running
from tests.pipeline.processes import one_process_a_service, start_all, stop
from tests.pipeline.week import RULES, live_a_week, picture, set_up


def in_one_process(directory: Path, seed: int) -> dict[str, object]:
    async def run() -> dict[str, object]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=seed)
            return await picture(app)

    return asyncio.run(run())


def test_a_process_a_service_gives_the_same_audiences_as_one(
    tmp_path: Path,
) -> None:
    async def run(addresses: dict[str, str]) -> dict[str, object]:
        async with connected(addresses) as app:
            await set_up(app)
            await live_a_week(app, seed=21)
            return await picture(app)

    (tmp_path / "many").mkdir()
    with one_process_a_service(tmp_path / "many") as (addresses, _):
        many = asyncio.run(run(addresses))
    assert many == in_one_process(tmp_path / "one", seed=21)
    assert any(many[name] for name in RULES)


@pytest.mark.parametrize("packs", [20, 35])
def test_a_kill_in_the_middle_and_everything_sent_again_change_nothing(
    tmp_path: Path, packs: int
) -> None:
    async def until_the_kill(process: subprocess.Popen[str], addresses: dict[str, str]) -> None:
        async with connected(addresses) as app:
            await set_up(app)
            sending = asyncio.create_task(live_a_week(app, seed=33))
            while max(each.inbound_position for each in await app.client.progress()) < packs:
                assert not sending.done(), "the week was over before the kill"
                await asyncio.sleep(0)
            process.kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await sending

    async def all_again(addresses: dict[str, str]) -> dict[str, object]:
        async with connected(addresses) as app:
            await live_a_week(app, seed=33)
            return await picture(app)

    process, addresses = start_all(tmp_path)
    try:
        asyncio.run(until_the_kill(process, addresses))
    finally:
        stop(process, signal.SIGKILL)
    process, addresses = start_all(tmp_path)
    try:
        seen = asyncio.run(all_again(addresses))
    finally:
        assert stop(process) == 0
    assert seen == in_one_process(tmp_path / "one", seed=33)
