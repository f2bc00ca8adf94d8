"""What an event costs each stage in CPU time: the workload through one process of all services.

    python -m tests.bench.stage_costs [--profiles 20000] [--events 60000] [--rules 20]

Wall time on a shared machine says little; the CPU time of each stage's own thread says what it
needs. `intake` is what the gateway does between the wire and the log, on the event loop, whose
remainder is gRPC on both sides: what is sent comes from the same process here.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc.aio

from services.host.client import Client
from services.host.embedded import Suite
from services.host.modules import BUILDERS, Builder
from services.kit.config import FREE_PORTS, Config
from services.kit.logs import configure_logs
from services.kit.module import Context, Module
from services.profile.intake import Gateway
from tests.bench import product, workload

Costs = dict[str, float]


def timed(costs: Costs, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, with the CPU time of its thread added up under `name`."""

    def run(*arguments: Any, **named: Any) -> Any:
        start = time.thread_time()
        try:
            return call(*arguments, **named)
        finally:
            costs[name] = costs.get(name, 0.0) + time.thread_time() - start

    return run


def builders(costs: Costs) -> Mapping[str, Builder]:
    """Return builders of modules whose stages are timed."""

    def timing(build: Builder) -> Builder:
        def built(context: Context) -> Module:
            module = build(context)
            for stage in module.stages:
                each: Any = stage
                each.step = timed(costs, each.name, each.step)
            return module

        return built

    return {name: timing(build) for name, build in BUILDERS.items()}


async def measure(options: argparse.Namespace, data_dir: Path) -> None:
    costs: Costs = {}
    gateway: Any = Gateway
    gateway.take_request = timed(costs, "intake", gateway.take_request)
    shared = workload.generator()
    people = list(product.attribute_batches(shared, options.profiles))
    events = list(product.event_batches(shared, options.profiles, options.events))
    suite = Suite(Config(data_dir=data_dir, ports=FREE_PORTS), builders=builders(costs))
    await suite.start()
    addresses = suite.addresses()
    async with Client(addresses) as client, grpc.aio.insecure_channel(addresses["profile"]) as way:
        await product.prepare(client, shared, options.rules)
        for what, batches, count in (
            ("attributes of people", people, options.profiles),
            ("events", events, options.events),
        ):
            costs.clear()
            start, loop = time.process_time(), time.thread_time()
            revision = await product.send(way, batches, options.window)
            await client.wait_progress(revision, timeout_s=3600)
            costs["event loop, intake included"] = time.thread_time() - loop
            costs["process"] = time.process_time() - start
            print(f"{count:,} {what}, CPU microseconds each:")
            for name, seconds in costs.items():
                print(f"    {name:28}{seconds / count * 1e6:8.1f}")
    await suite.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--window", type=int, default=16)
    configure_logs("error")
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(parser.parse_args(), Path(directory) / "data"))


if __name__ == "__main__":
    main()
