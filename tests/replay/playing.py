"""Plays a source in this process, without a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from services.host.definitions.audience_file import AudienceSpec, read_audiences
from services.host.replay.outcome import Outcome
from services.host.replay.progress import ProgressLines
from services.host.replay.run import Replay
from services.host.replay.shipped import shipped_text
from services.host.replay.source import Source
from services.kit.clock import SystemClock
from tests.replay.inspection import Found, inspect


def play(source: Source, specs: Sequence[AudienceSpec], data_dir: Path) -> Outcome:
    clock = SystemClock()
    progress = ProgressLines(Console(quiet=True), clock)
    replay = Replay(source, specs, data_dir, clock, progress)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(replay.run())


def look(data_dir: Path, namespace: str, values: list[str]) -> Found:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(inspect(data_dir, namespace, values))


def shipped_audiences(name: str) -> list[AudienceSpec]:
    return read_audiences(name, shipped_text(f"{name}.audiences.yaml"))
