"""The cluster overlay's shape on one machine: a process and a directory a service, PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.host.modules import BUILDERS
from tests.pipeline.harness import connected, running
from tests.pipeline.processes import free_ports, start, stop, write_config
from tests.pipeline.week import RULES, live_a_week, picture, set_up


@contextmanager
def one_pod_a_service(directory: Path, database_url: str) -> Iterator[dict[str, str]]:
    """Start each service with a directory of its own; those that are asked start last."""
    ports = free_ports()
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    processes: list[subprocess.Popen[str]] = []
    try:
        for name in reversed(tuple(BUILDERS)):
            own = directory / name
            own.mkdir(parents=True, exist_ok=True)
            config = write_config(own, ports, peers=addresses, database_url=database_url)
            processes.append(start(own, config, "serve", name))
        yield {name: addresses[name] for name in BUILDERS}
    finally:
        codes = [stop(each) for each in processes]
    assert codes == [0] * len(BUILDERS)


def _in_one_process(directory: Path, seed: int) -> dict[str, object]:
    async def run() -> dict[str, object]:
        async with running(directory) as app:
            await set_up(app)
            await live_a_week(app, seed=seed)
            return await picture(app)

    return asyncio.run(run())


def test_pods_that_lose_their_directories_go_on_as_one_process_would(
    tmp_path: Path, postgres_database: str
) -> None:
    async def begin(addresses: dict[str, str]) -> None:
        async with connected(addresses) as app:
            await set_up(app)
            await live_a_week(app, seed=23, days=4)

    async def end(addresses: dict[str, str]) -> dict[str, object]:
        async with connected(addresses) as app:
            await live_a_week(app, seed=23)
            return await picture(app)

    many = tmp_path / "many"
    with one_pod_a_service(many, postgres_database) as addresses:
        asyncio.run(begin(addresses))
    for name in BUILDERS:
        shutil.rmtree(many / name)
    with one_pod_a_service(many, postgres_database) as addresses:
        seen = asyncio.run(end(addresses))
    assert seen == _in_one_process(tmp_path / "one", seed=23)
    assert any(seen[name] for name in RULES)
