"""The coterie command as a person meets it: reports, one-line errors, a clean stop."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.host.cli import coterie
from services.kit.config import FREE_PORTS, SERVICES

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from services.host.cli import main; main()"]


def _invoke(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner(env=environment).invoke(coterie, arguments)
    return result.exit_code, result.output


def test_help_names_the_commands() -> None:
    code, output = _invoke("--help")
    assert code == 0
    assert {"up", "serve", "status"} <= set(output.split())


def test_an_unknown_setting_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "coterie.yaml"
    file.write_text("partitions: 1\nprots: {}\n")
    code, output = _invoke("up", "--config", str(file))
    assert code == 1
    assert output.startswith(f"Error: {file}:2: unknown setting 'prots'; there are ")
    assert output.count("\n") == 1


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not touch")
    code, output = _invoke("up", "--data", str(tmp_path))
    assert code == 1
    assert "expected an empty directory or one that Coterie made, found 'thesis.txt'" in output
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["thesis.txt"]


def test_status_says_what_does_not_answer(tmp_path: Path) -> None:
    peers = "{identity: '127.0.0.1:1'}"
    code, output = _invoke("status", "--data", str(tmp_path / "none"), COTERIE_PEERS=peers)
    assert code == 1
    assert output.count("no answer") == 1
    assert output.count("not running here") == len(SERVICES) - 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "vip", "9" * 23),
        ("explain", "vip", "٣"),
        ("audience", "members", "a", "--limit", "-1"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_a_mistake_of_usage(arguments: tuple[str, ...]) -> None:
    code, output = _invoke(*arguments, "--address", "127.0.0.1:1")
    assert code == 2
    assert "Usage: " in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_reports_serves_and_stops_at_a_signal(data_dir: Path, number: signal.Signals) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "COTERIE_PORTS": str(dict(FREE_PORTS)),
    }
    process = subprocess.Popen(
        [*COMMAND, "up", "--data", str(data_dir)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    seen = list(itertools.takewhile(lambda line: line != "Ctrl-C stops.\n", process.stdout))
    try:
        assert [line.split()[::2] for line in seen[1:6]] == [[name, "serving"] for name in SERVICES]
        assert str(data_dir) in seen[6]
        assert seen[8].endswith("email, sms, push, assistant\n")
        code, output = _invoke("status", "--data", str(data_dir))
        assert (code, output.count("serving")) == (0, len(SERVICES))
    finally:
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert rest.splitlines() == ["stopping: calls that have begun are finished first", "stopped"]
    assert (process.returncode, errors) == (0, "")
