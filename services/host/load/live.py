"""Shows a run while it goes: a table on a terminal, a line a second elsewhere."""

from __future__ import annotations

from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.host.load.options import LoadOptions
from services.host.load.record import INGEST, READ, VISIBLE, Recorder, Track

SHOWN = 12
"""Seconds that the table holds."""
HEAD = (
    *("second", "asked/s", "accepted/s", "ingest p50", "p99", "read p50", "p99"),
    *("visible p50", "p99", "on the way", "failed"),
)


class LiveTable:
    """The last seconds as a table. Use as a context manager."""

    def __init__(self, console: Console, options: LoadOptions) -> None:
        self._options = options
        self._rows: deque[list[str]] = deque(maxlen=SHOWN)
        self._note = ""
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """Show what is done now."""
        self._note = text
        self._update()

    def second(self, number: int, recorder: Recorder, outstanding: int) -> None:
        """Show a second."""
        self._rows.append(row(number, recorder, outstanding))
        self._update()

    def _update(self) -> None:
        table = Table(box=None, pad_edge=False)
        for name in HEAD:
            table.add_column(name, justify="right")
        for each in self._rows:
            failed = each[-1] not in {"0", ""}
            warming = each[0].startswith("-")
            table.add_row(*each, style="red" if failed else "dim" if warming else None)
        title = Text(f"{_title(self._options)}  {self._note}".rstrip(), style="bold")
        self._live.update(Group(title, table) if self._rows else title, refresh=True)


class LiveLines:
    """Plain lines, for a file or a pipe."""

    def __init__(self, console: Console, options: LoadOptions) -> None:
        self._console = console
        self._options = options
        self._headed = False

    def __enter__(self) -> Self:
        self._print(_title(self._options))
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def note(self, text: str) -> None:
        """Say what is done now."""
        if text:
            self._print(text)

    def second(self, number: int, recorder: Recorder, outstanding: int) -> None:
        """Say how a second went."""
        if not self._headed:
            self._print(_aligned(HEAD))
            self._headed = True
        self._print(_aligned(row(number, recorder, outstanding)))

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def row(number: int, recorder: Recorder, outstanding: int) -> list[str]:
    """Return the figures of a second. Latencies are of what was due in it and is answered."""
    tracks = recorder.tracks
    ingest = tracks[INGEST].seconds.get(number)
    failed = sum(one.seconds[number].failed for one in tracks.values() if number in one.seconds)
    return [
        str(number),
        f"{ingest.asked if ingest else 0:,}",
        f"{ingest.accepted if ingest else 0:,}",
        *_pair(tracks[INGEST], number),
        *_pair(tracks[READ], number),
        *_pair(tracks[VISIBLE], number),
        f"{outstanding:,}",
        f"{failed:,}",
    ]


def milliseconds(value_us: float) -> str:
    """Return a latency as people read it.

    >>> milliseconds(1234), milliseconds(12_345), milliseconds(123_456)
    ('1.23 ms', '12.3 ms', '123 ms')
    """
    value = value_us / 1000
    places = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004  three digits
    return f"{value:,.{places}f} ms"


def _pair(track: Track, number: int) -> tuple[str, str]:
    one = track.seconds.get(number)
    if one is None or not one.latency.count:
        return "-", "-"
    return milliseconds(one.latency.percentile(50)), milliseconds(one.latency.percentile(99))


def _title(options: LoadOptions) -> str:
    return (
        f"{options.rate:,.0f} events/s for {options.duration_s:g} s after"
        f" {options.warmup_s:g} s, seed {options.seed}, run {options.run}"
    )


def _aligned(cells: tuple[str, ...] | list[str]) -> str:
    return "".join(cell.rjust(12) for cell in cells)
