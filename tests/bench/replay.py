"""How fast does real shopping go through the whole suite, and which thread is the time spent in?

    python -m tests.bench.replay [--households 400] [--limit 20000] [--whole]

Plays completejourney (some households' whole year, or all of it) into a temporary directory, with
every shipped audience live, through gRPC on loopback. Prints the machine, the workload, what the
client alone costs, rates from the first input until every stage has applied the last one, the CPU
of each thread by the kernel's own clocks, and the functions of ours that samples found most often.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from types import FrameType

import click
import uvloop
from rich.console import Console

from services.host.definitions.audience_file import read_audiences
from services.host.replay.batches import batched
from services.host.replay.completejourney import tables
from services.host.replay.completejourney.source import CompleteJourney
from services.host.replay.outcome import Outcome
from services.host.replay.progress import ProgressLines
from services.host.replay.run import Replay
from services.host.replay.shipped import shipped_text
from services.kit.clock import SystemClock
from services.kit.logs import configure_logs

SAMPLE_S = 0.01
SHOWN = 6
OURS = ("/services/", "/segcore/")
IDLE = ("threading.py", "runner.py", "queue.py", "selectors.py")


class Sampler(threading.Thread):
    """Looks at the other threads now and then: their CPU clocks, and the function they are in."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="sampler")
        self.cpu_s: dict[str, float] = {}
        self.places: dict[str, Counter[str]] = defaultdict(Counter)
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(SAMPLE_S):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is self or thread.ident is None:
                    continue
                self._clock(thread)
                if (frame := frames.get(thread.ident)) is not None:
                    self._place(thread.name, frame)

    def _clock(self, thread: threading.Thread) -> None:
        try:
            clock = time.pthread_getcpuclockid(thread.ident or 0)
            self.cpu_s[thread.name] = time.clock_gettime(clock)
        except OSError:
            return  # it has ended in between

    def _place(self, name: str, frame: FrameType) -> None:
        if frame.f_code.co_filename.endswith(IDLE):
            return
        found: FrameType | None = frame
        while found is not None and not any(one in found.f_code.co_filename for one in OURS):
            found = found.f_back
        if found is not None:
            code = found.f_code
            self.places[name][f"{Path(code.co_filename).stem}.{code.co_name}"] += 1


def source(households: int, limit: int | None, *, whole: bool) -> CompleteJourney:
    if whole:
        return CompleteJourney(limit)
    everyone = sorted(set(tables.read_baskets().households.tolist()))
    return CompleteJourney(limit, frozenset(everyone[:: max(1, len(everyone) // households)]))


def play(playing: CompleteJourney, folder: Path) -> Outcome:
    clock = SystemClock()
    progress = ProgressLines(Console(stderr=True), clock)
    audiences = read_audiences("shipped", shipped_text("completejourney.audiences.yaml"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Replay(playing, audiences, folder / "data", clock, progress).run())


def client_alone(playing: CompleteJourney) -> tuple[float, int]:
    """Return the CPU seconds and the bytes of making every request, with nobody to send them to."""
    playing.prepare()
    start = time.process_time()
    size = sum(len(batch.data) for batch in batched(playing.inputs()))
    return time.process_time() - start, size


def report(outcome: Outcome, sampler: Sampler, elapsed_s: float, size: int) -> None:
    tally, seconds = outcome.tally, outcome.played_ms / 1000
    click.echo(
        f"workload  {tally.happenings:,} baskets, {tally.lines:,} lines,"
        f" {outcome.sent.inputs:,} inputs, {len(outcome.audiences)} audiences,"
        f" {sum(one.entered + one.left for one in outcome.audiences):,} entries and exits"
    )
    click.echo(
        f"rates     {tally.happenings / seconds:,.0f} baskets/s,"
        f" {tally.lines / seconds:,.0f} lines/s, {outcome.sent.inputs / seconds:,.0f} inputs/s,"
        f" in {seconds:.1f} s"
    )
    click.echo(f"disk      {size / 2**20:,.0f} MiB, {size / tally.happenings:,.0f} bytes a basket")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"memory    {peak:,.0f} MiB at most, client and services in one process")
    used = sum(sampler.cpu_s.values())
    click.echo(f"CPU       {used:.1f} s on all threads in {elapsed_s:.1f} s; by thread:")
    for name, cpu_s in sorted(sampler.cpu_s.items(), key=lambda pair: -pair[1])[:SHOWN]:
        places = sampler.places[name]
        share = ", ".join(
            f"{place} {count / places.total():.0%}" for place, count in places.most_common(SHOWN)
        )
        click.echo(f"  {cpu_s:6.1f} s  {name}\n            {share}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--households", type=int, default=400, help="of 2,469")
    parser.add_argument("--limit", type=int, help="only the first so many baskets")
    parser.add_argument("--whole", action="store_true", help="all households")
    asked = parser.parse_args()
    configure_logs("warning")
    model = platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    click.echo(
        f"machine   {os.cpu_count()} cores ({model}), load {load:.1f} at the start,"
        f" Python {platform.python_version()}"
    )
    chosen = (asked.households, asked.limit)
    cpu_s, made = client_alone(source(*chosen, whole=asked.whole))
    click.echo(f"client    {cpu_s:.2f} s of CPU alone for {made / 1e6:,.1f} MB of requests")
    sampler = Sampler()
    with tempfile.TemporaryDirectory() as folder:
        playing = source(*chosen, whole=asked.whole)
        sampler.start()
        start = time.perf_counter()
        outcome = play(playing, Path(folder))
        elapsed_s = time.perf_counter() - start
        sampler.stopping.set()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    report(outcome, sampler, elapsed_s, size)


if __name__ == "__main__":
    main()
