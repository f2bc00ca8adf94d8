"""`coterie load` against a running suite, and what it leaves behind."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from services.host.cli import coterie
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--rate", "400", "--duration", "1", "--warmup", "0.3", "--batch", "20")
SMALL = ("--profiles", "200", "--audiences", "5", "--reads", "40", "--probes", "20")


class Terminal:
    """Runs `coterie load` against one suite."""

    def __init__(self, config: Path) -> None:
        self.config = config

    async def run(self, *arguments: str, code: int = 0) -> str:
        wanted = ["load", "--config", str(self.config), *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, coterie, wanted)
        assert result.exit_code == code, result.output
        return result.output


def _with_suite(tmp_path: Path, story: Callable[[Terminal], Awaitable[None]]) -> None:
    async def run() -> None:
        suite = Suite(Config(data_dir=tmp_path / "data", ports=FREE_PORTS))
        await suite.start()
        try:
            config = tmp_path / "target.yaml"
            config.write_text(f"peers: {json.dumps(dict(suite.addresses()))}\n")
            await story(Terminal(config))
        finally:
            await suite.stop()

    asyncio.run(run())


def _report(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "report.json").read_text())
    place = importlib.resources.files("services.host.load") / "report.schema.json"
    jsonschema.validate(document, json.loads(place.read_text()))
    return document


def test_a_run_measures_everything_and_a_second_one_stands_beside_it(tmp_path: Path) -> None:
    async def story(terminal: Terminal) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        output = await terminal.run(*SHORT, *SMALL, "--report", str(first))
        assert "5 audiences, and one for probes" in output
        assert "200 of 200 people sent" in output
        assert "No errors." in output
        _check(_report(first), first)
        output = await terminal.run(*SHORT, *SMALL, code=1)
        assert "run 1 of seed 1 was sent to this deployment before" in output
        again = (*SHORT, *SMALL, "--run", "2", "--read-batch", "50", "--report", str(second))
        output = await terminal.run(*again)
        assert "people sent" not in output
        _check(_report(second), second)
        _compare(first, second)

    _with_suite(tmp_path, story)


def _check(document: dict[str, Any], directory: Path) -> None:
    tracks = document["tracks"]
    ingest, read, visible, watched = (
        tracks[name] for name in ("ingest", "read", "visible", "watched")
    )
    assert document["interrupted"] is False
    assert document["measured_s"] == 1.0
    assert ingest["accepted"] == ingest["units"] == 20 * ingest["calls"] > 0
    assert sum(count for *_, count in ingest["histogram_us"]) == ingest["calls"]
    assert read["answered"] == read["calls"] > 10
    assert visible["answered"] == watched["answered"] == visible["calls"] > 3
    assert visible["latency_us"]["p50"] > 0
    assert all(not track["errors"] for track in tracks.values())
    html = (directory / "report.html").read_text()
    assert html.count("<svg") == 8
    assert "src=" not in html
    assert "http" not in html
    assert "prefers-color-scheme: dark" in html


def _compare(first: Path, second: Path) -> None:
    output = CliRunner().invoke(coterie, ["load", "compare", str(first), str(second)]).output
    assert re.search(r"events asked/s +(\d+) +\1 +1.00", output)
    assert re.search(r"ingest call p50 +[\d.]+ ms +[\d.]+ ms +[\d.]+", output)
    assert "did not send the same requests" in output
    assert "They differ in read_batch." in output


def test_an_audience_of_another_rule_is_not_taken_for_ours(tmp_path: Path) -> None:
    async def story(terminal: Terminal) -> None:
        await terminal.run("--duration", "0.2", "--warmup", "0", *SMALL)
        mix = tmp_path / "mix.yaml"
        place = importlib.resources.files("services.host.load") / "retailer.yaml"
        text = place.read_text().replace('events("purchase").last(days({days})).exists()', "true")
        mix.write_text(text)
        output = await terminal.run("--mix", str(mix), "--seed", "2", *SMALL, code=1)
        assert "audience load-0001 is there with another rule" in output

    _with_suite(tmp_path, story)


async def _measuring(
    config: Path, *arguments: str, after: bytes = b"0"
) -> asyncio.subprocess.Process:
    """Return a run in a process of its own that has said a line which begins with `after`.

    Left alone, it has measured its first second then.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from services.host.cli import main; main()"),
        *("load", "--config", str(config), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr
    async for line in process.stderr:
        if line.split()[:1] == [after]:
            return process
    raise AssertionError("it ended before it measured anything")


def test_a_service_that_goes_away_shows_as_errors_and_the_run_goes_on(tmp_path: Path) -> None:
    async def run() -> None:
        suite = Suite(Config(data_dir=tmp_path / "data", ports=FREE_PORTS, drain_seconds=0))
        await suite.start()
        config, report = tmp_path / "target.yaml", tmp_path / "report"
        config.write_text(f"peers: {json.dumps(dict(suite.addresses()))}\n")
        rates = ("--rate", "400", "--duration", "10", "--warmup", "0", "--timeout", "1")
        process = await _measuring(config, *rates, *SMALL, "--report", str(report))
        await suite.stop()
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert b"UNAVAILABLE" in output
        track = _report(report)["tracks"]["ingest"]
        assert track["errors"]["UNAVAILABLE"] > 0
        assert track["answered"] + sum(track["errors"].values()) == track["calls"]

    asyncio.run(run())


def test_what_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    def said(*arguments: str, code: int = 1) -> str:
        result = CliRunner().invoke(coterie, ["load", *arguments])
        assert result.exit_code == code
        return result.output.splitlines()[-1]

    away = said("--target", "127.0.0.1:1")
    assert away.startswith("Error: identity at 127.0.0.1:1 does not answer; is `coterie up` ")
    assert "found neither" in said(code=2)
    assert "--rate: expected more than 0" in said("--target", "x:1", "--rate", "0", code=2)
    assert "No such file" in said("--target", "127.0.0.1:1", "--mix", str(tmp_path / "none"))
    assert "No such file" in said("compare", str(tmp_path / "a"), str(tmp_path / "b"))
    (tmp_path / "a").write_text("[]")
    assert "expected a report of format coterie-load/1" in said("compare", *2 * [f"{tmp_path}/a"])
    (tmp_path / "file").write_text("")
    assert "File exists" in said("--target", "x:1", "--report", str(tmp_path / "file"))


def test_an_interrupt_ends_with_the_report_of_what_was_measured(tmp_path: Path) -> None:
    async def story(terminal: Terminal) -> None:
        report = tmp_path / "report"
        rates = ("--rate", "200", "--batch", "10", "--duration", "60", "--warmup", "0")
        process = await _measuring(terminal.config, *rates, *SMALL, "--report", str(report))
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
        assert process.returncode == 0
        assert b", then stopped: " in output
        document = _report(report)
        assert document["interrupted"] is True
        assert 0.9 < document["measured_s"] < 60

    _with_suite(tmp_path, story)


def test_an_interrupt_while_it_prepares_says_that_nothing_was_measured(tmp_path: Path) -> None:
    async def story(terminal: Terminal) -> None:
        many = ("--profiles", "1000000")
        process = await _measuring(terminal.config, *many, after=b"1,000,000")
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
        assert (process.returncode, output) == (1, b"")
        assert errors.endswith(b"Error: stopped before anything was measured\n")

    _with_suite(tmp_path, story)


@pytest.mark.parametrize("probes", ["0", "5"])
def test_a_run_without_reads_or_audiences_is_a_run(tmp_path: Path, probes: str) -> None:
    async def story(terminal: Terminal) -> None:
        none = ("--audiences", "0", "--reads", "0", "--probes", probes, "--profiles", "50")
        report = tmp_path / "report"
        output = await terminal.run(*SHORT, *none, "--report", str(report))
        assert "No errors." in output
        assert _report(report)["tracks"]["read"]["calls"] == 0
        assert "Nothing was measured." in (report / "report.html").read_text()
        output = await terminal.run(*SHORT, *none, code=1)
        assert "give another --run" in output

    _with_suite(tmp_path, story)
