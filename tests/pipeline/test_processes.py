"""Each service as a process of its own on one directory; and what a kill changes: nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.pipeline.harness import connected, running
from tests.pipeline.week import RULES, live_a_week, picture, set_up

SERVICES = ("identity", "profile", "segmentation")


def free_ports() -> dict[str, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SERVICES]
    ports = {name: each.getsockname()[1] for name, each in zip(SERVICES, sockets, strict=True)}
    for each in sockets:
        each.close()
    return ports


def write_config(directory: Path, ports: dict[str, int]) -> Path:
    listed = ", ".join(f"{name}: {port}" for name, port in ports.items())
    config = directory / "coterie.yaml"
    config.write_text(f"clock: virtual\nports: {{{listed}}}\n", encoding="utf-8")
    return config


def start(directory: Path, config: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `coterie ARGUMENTS` and return once it says that it is ready."""
    command = [str(Path(sys.executable).with_name("coterie")), *arguments]
    command += ["--data", str(directory / "data"), "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            return process
    raise AssertionError(f"{arguments} ended with {process.wait()}")


def start_all(directory: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start `coterie up` on new ports: a client backs off from an address that was just dead."""
    ports = free_ports()
    process = start(directory, write_config(directory, ports), "up")
    return process, {name: f"127.0.0.1:{port}" for name, port in ports.items()}


def stop(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(how)
    code = process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    return code


@contextmanager
def three_processes(directory: Path) -> Iterator[dict[str, str]]:
    ports = free_ports()
    config = write_config(directory, ports)
    processes: list[subprocess.Popen[str]] = []
    try:
        processes += [start(directory, config, "serve", name) for name in SERVICES]
        yield {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    finally:
        codes = [stop(each) for each in reversed(processes)]
    assert codes == [0, 0, 0]


def in_one_process(directory: Path, seed: int) -> dict[str, object]:
    async def run() -> dict[str, object]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=seed)
            return await picture(app)

    return asyncio.run(run())


def test_three_processes_on_one_directory_give_the_same_audiences_as_one(tmp_path: Path) -> None:
    async def run(addresses: dict[str, str]) -> dict[str, object]:
        async with connected(addresses) as app:
            await set_up(app)
            await live_a_week(app, seed=21)
            return await picture(app)

    (tmp_path / "many").mkdir()
    with three_processes(tmp_path / "many") as addresses:
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
    asyncio.run(until_the_kill(process, addresses))
    stop(process, signal.SIGKILL)
    process, addresses = start_all(tmp_path)
    try:
        seen = asyncio.run(all_again(addresses))
    finally:
        assert stop(process) == 0
    assert seen == in_one_process(tmp_path / "one", seed=33)
