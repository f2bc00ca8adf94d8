"""W1: the 20 rules of the common workload to ids, ad hoc, beside DuckDB, ClickHouse and Polars.

    python -m tests.bench.batch [--profiles 200000] [--events 4000000] [--threads 1] [--rounds 5]

Nothing is kept for a rule: each answer comes from the tables of events and the columns of
attributes. Peers that are not installed (extra `bench`) are said to be missing. All engines have to
give the same members, and get as many threads.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore import Engine
from segcore._batch import Batch
from segcore.rule import Expression, InAudience
from segcore.select import select_bits
from tests.bench import workload

PEERS = {"polars": "Pol", "duckdb": "Duck", "chdb": "Ch"}
SLICE = 1 << 19

Ids = NDArray[np.uint32]


def written_out(node: Any, rules: dict[str, Expression]) -> Any:
    """Return a rule in which the rules of other audiences stand for their names."""
    if isinstance(node, InAudience):
        return written_out(rules[node.audience_id], rules)
    if isinstance(node, tuple):
        return tuple(written_out(part, rules) for part in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    parts = {each.name: written_out(getattr(node, each.name), rules) for each in fields(node)}
    return replace(node, **parts)


def load(shared: ModuleType, profiles: int, events: int) -> Engine:
    """Return an engine that has the whole workload, and no audience."""
    engine = Engine()
    engine.advance(shared.START_MS, inclusive=True)
    drawn = shared.make_profiles(profiles)
    values = {name: workload.attribute_values(shared, drawn, name) for name in workload.ATTRIBUTES}
    for ordinal in range(profiles):
        row = {name: column[ordinal] for name, column in values.items()}
        engine.set_attributes(ordinal + 1, row, shared.START_MS)
    del drawn, values
    happened = shared.make_events(profiles, events)
    for start in range(0, events, SLICE):
        columns = workload.event_columns(shared, happened, start, min(start + SLICE, events))
        engine.apply(Batch.from_columns(engine.texts, columns))
    engine.advance(shared.NOW_MS, inclusive=True)
    return engine


def measure(ask: Callable[[], object], rounds: int) -> float:
    """Return the median of some rounds in milliseconds, after one that does not count."""
    ask()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        ask()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def ours(engine: Engine, rule: Expression, threads: int) -> Ids:
    found = select_bits(engine, rule, threads=threads)
    ids: Ids = np.frombuffer(found.ids(), np.uint32) - np.uint32(1)
    return ids


def peer(name: str, shared: ModuleType, args: argparse.Namespace) -> Callable[[Any], Any] | None:
    """Return how to ask a peer for a segment's ids, or None where it is not installed."""
    if importlib.util.find_spec(name) is None or importlib.util.find_spec("pyarrow") is None:
        print(f"{name}: not installed (extra `bench`)")
        return None
    import w1_batch  # noqa: PLC0415  lies beside the shared generator

    engine = getattr(w1_batch, PEERS[name])(args.data, args.threads, args.data)
    definitions = {each["id"]: each["expr"] for each in shared.segments(20)}
    return lambda segment: engine.ids(engine.compile(segment, definitions, shared.NOW_MS))


def show(shared: ModuleType, args: argparse.Namespace) -> None:
    """Measure all engines, one after the other, and print the table."""
    rules = workload.rules(shared)
    started = time.perf_counter()
    engine = load(shared, args.profiles, args.events)
    print(f"ours: loaded in {time.perf_counter() - started:.1f} s")
    segments = shared.segments(20)
    times: dict[str, list[float]] = {"ours": []}
    members = []
    for segment in segments:
        rule = written_out(rules[segment["id"].lower()], rules)
        members.append(ours(engine, rule, args.threads))
        question = functools.partial(ours, engine, rule, args.threads)
        times["ours"].append(measure(question, args.rounds))
    for name in args.peers.split(","):
        ask = peer(name, shared, args)
        if ask is None:
            continue
        times[name] = []
        for segment, expected in zip(segments, members, strict=True):
            if not np.array_equal(np.sort(np.asarray(ask(segment))), expected):
                print(f"{name}: other members of {segment['id']}")
            times[name].append(measure(lambda s=segment, ask=ask: ask(s), args.rounds))  # type: ignore[misc]
    print("segment  members  " + "  ".join(f"{name:>8}" for name in times), "ms")
    for place, segment in enumerate(segments):
        row = "  ".join(f"{column[place]:8.2f}" for column in times.values())
        print(f"{segment['id']:7}  {len(members[place]):7}  {row}")
    total = sum(times["ours"])
    for name, column in times.items():
        print(f"{name}: {sum(column):.1f} ms, {sum(column) / total:.1f} times ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=200_000)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--data", default="", help="a folder that the generator has written")
    args = parser.parse_args()
    shared = workload.generator()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, load {os.getloadavg()}")
    print(f"{args.profiles} profiles, {args.events} events, {args.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        if not args.data:
            args.data = folder
            if importlib.util.find_spec("pyarrow") is not None:
                shared.write(folder, args.profiles, args.events)
        show(shared, args)


if __name__ == "__main__":
    main()
