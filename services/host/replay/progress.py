"""Shows how far a replay is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from services.host.replay.outcome import Phase
from services.kit.clock import Clock

LINE_MS = 5_000
"""How seldom a line comes where there is no terminal."""


class ProgressBar:
    """A bar with rows, rate and the data's date. Use as a context manager."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._clock = clock
        self._started_ms = clock.monotonic_ms()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def phase(self, phase: Phase) -> None:
        """Show what is done now."""
        self._started_ms = self._clock.monotonic_ms()
        self._bar.update(self._task, description=phase.value, note="")

    def total(self, inputs: int) -> None:
        """Show how many inputs there are."""
        self._bar.update(self._task, total=inputs)

    def sent(self, inputs: int, time_ms: int) -> None:
        """Show the rate and the data's date."""
        rate = _rate(inputs, self._clock.monotonic_ms() - self._started_ms)
        note = f"{inputs:,} inputs, {rate:,}/s, {_date(time_ms)}"
        self._bar.update(self._task, completed=inputs, note=note)

    def behind(self, records: int) -> None:
        """Show how much the slowest stage has before it."""
        self._bar.update(self._task, note=f"{records:,} records to go")


class ProgressLines:
    """Plain lines, for a file or a pipe."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._total = 0
        self._started_ms = self._said_ms = clock.monotonic_ms()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def phase(self, phase: Phase) -> None:
        """Say what is done now."""
        self._started_ms = self._said_ms = self._clock.monotonic_ms()
        self._print(phase.value)

    def total(self, inputs: int) -> None:
        """Keep how many inputs there are."""
        self._total = inputs

    def sent(self, inputs: int, time_ms: int) -> None:
        """Say the rate and the data's date."""
        if self._due():
            rate = _rate(inputs, self._said_ms - self._started_ms)
            done = f"{inputs:,} of {self._total:,} inputs"
            self._print(f"  {done}, {rate:,}/s, {_date(time_ms)}")

    def behind(self, records: int) -> None:
        """Say how much the slowest stage has before it."""
        if self._due():
            self._print(f"  {records:,} records to go")

    def _due(self) -> bool:
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._said_ms < LINE_MS:
            return False
        self._said_ms = now_ms
        return True

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False)


def _rate(inputs: int, elapsed_ms: int) -> int:
    return inputs * 1000 // max(elapsed_ms, 1)


def _date(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d}"
