"""`coterie up` and `coterie serve` as real processes: started, stopped, killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from services.kit.config import SERVICES

GIVEN_BY_HAND = range(10_000, 32_400)
"""Ports that the system gives to nobody who asks for any: between our look and our use of one that
it does give, another test beside this one may have got it."""
WORKERS = 8
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
OURS = GIVEN_BY_HAND[WORKER::WORKERS]
"""Those of them that no other worker of this run draws."""


def free_ports() -> dict[str, int]:
    drawn = iter(random.SystemRandom().sample(OURS, 50 * len(SERVICES)))
    return {name: next(port for port in drawn if _is_free(port)) for name in SERVICES}


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def write_config(directory: Path, ports: Mapping[str, int], **settings: object) -> Path:
    config = directory / "coterie.yaml"
    written = {"clock": "virtual", "ports": dict(ports), **settings}
    config.write_text(yaml.safe_dump(written), encoding="utf-8")
    return config


def start(
    directory: Path, config: Path, *arguments: str, failpoint: str = ""
) -> subprocess.Popen[str]:
    """Start `coterie ARGUMENTS` and return once it says that it is ready."""
    command = [str(Path(sys.executable).with_name("coterie")), *arguments]
    command += ["--data", str(directory / "data"), "--config", str(config)]
    environment = {**os.environ, "COTERIE_FAILPOINT": failpoint}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    if not any("Ctrl-C" in line for line in process.stdout):
        raise AssertionError(f"{arguments} ended with {stop(process)}")
    return process


def start_all(
    directory: Path, *, failpoint: str = "", **settings: object
) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start `coterie up` on new ports: a client backs off from an address that was just dead."""
    ports = free_ports()
    config = write_config(directory, ports, **settings)
    process = start(directory, config, "up", failpoint=failpoint)
    return process, {name: f"127.0.0.1:{port}" for name, port in ports.items()}


def stop(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> int:
    """Stop a process that was started here; one that does not stop is killed. Return its code."""
    process.send_signal(how)
    try:
        code = process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    assert process.stdout is not None
    process.stdout.close()
    return code


@contextmanager
def one_process_a_service(
    directory: Path, **settings: object
) -> Iterator[tuple[dict[str, str], Path]]:
    """Run each service as a process of its own on one directory; yield addresses and settings."""
    ports = free_ports()
    config = write_config(directory, ports, **settings)
    processes: list[subprocess.Popen[str]] = []
    try:
        # One by one: those that have started are stopped where one does not.
        processes.extend(start(directory, config, "serve", name) for name in SERVICES)
        yield {name: f"127.0.0.1:{port}" for name, port in ports.items()}, config
    finally:
        codes = [stop(each) for each in reversed(processes)]
    assert codes == [0] * len(SERVICES)
