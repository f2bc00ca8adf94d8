"""Live segments (W3): the common workload's events into the engine, its transitions out.

    python -m tests.bench.live [--profiles 1000000] [--events 3000000] [--rules 20] [--directory D]

Batches of 1,000 at the events' own times, every rule whole, exits by time included, history columns
written (to files with `--directory`). Beside it in the same run: the bare C loop of the shared
folder, which is what the machine can do with simplified rules, and its plain Python twin, which is
what a stream processor's user would write. Figures are of the processor's time of one thread. The
mean has in it what it costs to take new memory, which in a virtual machine may be tens of
milliseconds for one batch; the loop is compared by the median batch of both. Skips aloud without
the shared workload.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from segcore import Engine
from segcore._batch import Batch
from tests.bench import workload

BATCH = 1_000
PART = 250_000


def parts(
    shared: ModuleType, engine: Engine, events: Mapping[str, Any], count: int
) -> Iterator[Batch]:
    """Yield the events in batches of a quarter million: what they came in is not measured."""
    for start in range(0, count, PART):
        columns = workload.event_columns(shared, events, start, min(count, start + PART))
        yield Batch.from_columns(engine.texts, columns)


def prepared(shared: ModuleType, options: argparse.Namespace) -> Engine:
    """Return an engine with the rules live and all attributes set."""
    engine = Engine(Path(options.directory) if options.directory else None)
    engine.advance(shared.START_MS - 1, inclusive=True)
    for audience_id, rule in workload.rules(shared, options.rules).items():
        engine.add_audience(audience_id, 1, rule)
        engine.activate(audience_id, 1)
    profiles = shared.make_profiles(options.profiles)
    for start in range(0, options.profiles, PART):
        part = {name: column[start : start + PART] for name, column in profiles.items()}
        columns = [workload.attribute_values(shared, part, each) for each in workload.ATTRIBUTES]
        for number, values in enumerate(zip(*columns, strict=True), start + 1):
            named = dict(zip(workload.ATTRIBUTES, values, strict=True))
            engine.set_attributes(number, named, shared.START_MS - 1)
    return engine


def ours(shared: ModuleType, options: argparse.Namespace) -> tuple[float, float]:
    """Measure the second half of the events; return events a second, and by the median batch."""
    engine = prepared(shared, options)
    events = shared.make_events(options.profiles, options.events)
    taken, seconds, flips = 0, 0.0, 0
    times: list[float] = []
    seen = 0
    for batch in parts(shared, engine, events, options.events):
        measured = seen >= options.events // 2
        seen += len(batch)
        for start in range(0, len(batch), BATCH):
            before = time.thread_time()
            told = engine.apply(batch, start, min(len(batch), start + BATCH))
            spent = time.thread_time() - before
            if measured:
                taken += min(len(batch), start + BATCH) - start
                seconds += spent
                flips += len(told)
                times.append(spent)
    times.sort()
    rate, by_median = taken / seconds, BATCH / times[len(times) // 2]
    memory = sum(node.memory() for node in engine.nodes if node is not None)
    memory += sum(engine.memory().values())
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"ours           {rate:>12,.0f} events/s  {flips / taken:.2f} changes an event,"
        f" by its median batch of {BATCH:,} {by_median:,.0f} events/s,"
        f" p99 {times[int(len(times) * 0.99)] * 1e6:,.0f} us;"
        f" state {memory / 2**20:,.0f} MiB, resident at most {resident:,.1f} GiB"
    )
    return rate, by_median


def bare_loop(options: argparse.Namespace) -> float | None:
    """Run the shared C loop over as many events; return its events a second."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "limits.jsonl"
        command = [
            sys.executable,
            str(workload.SHARED / "limits.py"),
            *("--build", directory, "--what", "w3", "--rounds", "1", "--out", str(out)),
            *("--profiles", str(options.profiles), "--segments", str(options.rules)),
            *("--events", str(min(options.events, 2_000_000))),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print("the C loop was skipped: it did not build or run here")
            return None
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    # The loop draws people by popularity for 20 rules only; for others there is its even draw.
    found = [
        row for row in rows if row.get("what") == "w3_loop" and row.get("segments") == options.rules
    ]
    median_us = found[-1]["batch1000_p50_us"]
    print(f"bare C loop    {BATCH / median_us * 1e6:>12,.0f} events/s  (by its median batch)")
    return float(BATCH / median_us * 1e6)


def plain_python(options: argparse.Namespace) -> float | None:
    """Run the shared plain Python twin on fewer events; return its events a second."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "plain.jsonl"
        command = [
            sys.executable,
            str(workload.SHARED / "w3_py.py"),
            *("--engine", "plain", "--profiles", str(min(options.profiles, 100_000))),
            *("--events", "100000", "--segments", str(options.rules), "--out", str(out)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print("plain Python was skipped: it did not run here")
            return None
        rate = float(json.loads(out.read_text().splitlines()[-1])["ev_s"])
    print(f"plain Python   {rate:>12,.0f} events/s")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--directory", default="")
    options = parser.parse_args()
    shared = workload.generator()
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python"
        f" {platform.python_version()}; {options.profiles:,} profiles, {options.events:,} events,"
        f" {options.rules} rules, one thread"
    )
    rate, by_median = ours(shared, options)
    for what, rate_of_ours, peer in (
        ("of the bare C loop", by_median, bare_loop(options)),
        ("times plain Python", rate, plain_python(options)),
    ):
        if peer:
            print(f"{rate_of_ours / peer:.2f} {what}")


if __name__ == "__main__":
    main()
