"""The services as a pod has them: uid 65532, no capability, a root file system that is read only.

Without a container engine: `unshare` gives the process its own mounts, `setpriv` takes its rights.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.host.modules import BUILDERS
from services.kit.config import SERVICES
from services.kit.datadir import occupant
from services.kit.rpc.server import LIVENESS
from tests.deploy.manifests import DEPLOY, ROOT

USER = 65532
GRACE_S = 45
"""What the manifests give one service to stop in."""
COMMAND = [sys.executable, "-c", "from services.host.cli import main; main()"]
CONFINED = f"""
set -e
mount --make-rprivate /
for place in "$DATA" "$TMPDIR"; do mount --bind "$place" "$place"; done
mount --options remount,bind,ro /
exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs \
    --bounding-set=-all --inh-caps=-all -- "$@"
"""


def _confined(data: Path, tmp: Path, command: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return a command line and environment; one process runs it, which signals reach."""
    lines = ["unshare", "--mount", "sh", "-c", CONFINED, "confined", *command]
    return lines, {"PATH": os.environ["PATH"], "DATA": str(data), "TMPDIR": str(tmp)}


@cache
def _obstacle(folder: Path) -> str | None:
    """Return why a process cannot be confined here, None where it can."""
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return "there are no unshare and setpriv"
    if os.geteuid():
        return "only root has mounts of its own"
    interpreter = [sys.executable, "-c", "import services.host.cli"]
    lines, environment = _confined(folder, folder, interpreter)
    environment["PYTHONPATH"] = str(ROOT)
    tried = subprocess.run(lines, env=environment, capture_output=True, text=True, check=False)
    return tried.stderr.strip().splitlines()[-1] if tried.returncode else None


@pytest.fixture
def places(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders that the user may write to and reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    data, tmp = tmp_path / "data", tmp_path / "tmp"
    for folder in (data, tmp):
        folder.mkdir()
    if reason := _obstacle(tmp):
        pytest.skip(f"NOT CHECKED: a read-only root: {reason}")
    for folder in (data, tmp):
        os.chown(folder, USER, USER)
    return data, tmp


def _settings(data: Path, arguments: list[str]) -> dict[str, str]:
    """Return the settings of the manifests, with free ports and a data directory of the test's."""
    lines = (DEPLOY / "base/settings.env").read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings["COTERIE_DATA_DIR"] = str(data / "coterie")
    settings["COTERIE_PORTS"] = str(dict.fromkeys(SERVICES, 0))
    others = [name for name in SERVICES if arguments[0] == "serve" and name not in arguments]
    settings["COTERIE_PEERS"] = str(dict.fromkeys(others, "127.0.0.1:1"))
    return settings


@contextmanager
def _running(places: tuple[Path, Path], arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    lines, environment = _confined(*places, [*COMMAND, *arguments])
    environment |= {"PYTHONPATH": str(ROOT), "HOME": "/tmp"}  # noqa: S108 - as in the image
    with subprocess.Popen(
        lines,
        cwd="/",
        env=environment | _settings(places[0], arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for_start(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stderr
    if not any(line.startswith("Ctrl-C stops") for line in process.stdout):
        pytest.fail(f"it did not start: {process.stderr.read()}")


def _rights(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(":", 1) for line in lines)
    found = {key: value.strip() for key, value in pairs}
    wanted = ("Uid", "CapEff", "CapBnd", "NoNewPrivs")
    return {key: found[key].split()[0].lstrip("0") for key in wanted}


def _root_options(pid: int) -> str:
    lines = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    (options,) = [fields[5] for fields in map(str.split, lines) if fields[4] == "/"]
    return options.split(",")[0]


async def _health(address: str, name: str) -> int:
    port = address.rpartition(":")[2]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    return int(answer.status)


@pytest.mark.parametrize("command", ["up", *(f"serve {name}" for name in BUILDERS)])
def test_a_pod_needs_no_more_than_its_volume(places: tuple[Path, Path], command: str) -> None:
    arguments = shlex.split(command)
    with _running(places, arguments) as process:
        _wait_for_start(process)
        assert _rights(process.pid) == {
            "Uid": str(USER),
            "CapEff": "",
            "CapBnd": "",
            "NoNewPrivs": "1",
        }
        assert _root_options(process.pid) == "ro"
        for name in arguments[1:] or BUILDERS:
            found = occupant(places[0] / "coterie", name)
            assert found is not None
            for probe in ("", LIVENESS):
                serving = health_pb2.HealthCheckResponse.SERVING
                assert asyncio.run(_health(found.address, probe)) == serving
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=GRACE_S)
    assert rest.splitlines()[-1] == "stopped"
    assert (process.returncode, errors) == (0, "")
    assert list(places[1].iterdir()) == []


def test_a_start_that_may_not_write_says_so_in_one_line(places: tuple[Path, Path]) -> None:
    with _running(places, ["up", "--data", "/nowhere"]) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors == "Error: /nowhere: Read-only file system\n"
