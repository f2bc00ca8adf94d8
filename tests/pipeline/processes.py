"""`coterie up` and `coterie serve` as real processes: started, stopped, killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from services.kit.config import SERVICES


def free_ports() -> dict[str, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SERVICES]
    ports = {name: each.getsockname()[1] for name, each in zip(SERVICES, sockets, strict=True)}
    for each in sockets:
        each.close()
    return ports


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
    for line in process.stdout:
        if "Ctrl-C" in line:
            return process
    raise AssertionError(f"{arguments} ended with {process.wait()}")


def start_all(
    directory: Path, *, failpoint: str = "", **settings: object
) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start `coterie up` on new ports: a client backs off from an address that was just dead."""
    ports = free_ports()
    config = write_config(directory, ports, **settings)
    process = start(directory, config, "up", failpoint=failpoint)
    return process, {name: f"127.0.0.1:{port}" for name, port in ports.items()}


def stop(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(how)
    code = process.wait(30)
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
        processes += [start(directory, config, "serve", name) for name in SERVICES]
        yield {name: f"127.0.0.1:{port}" for name, port in ports.items()}, config
    finally:
        codes = [stop(each) for each in reversed(processes)]
    assert codes == [0] * len(SERVICES)
