"""The bound of the core: columns of known ordinals through gRPC into segment state, out as flips.

    python -m tests.bench.stream [--profiles 200000] [--events 1000000] [--segments 20]
        [--batch 10000]

One process sends, another holds an engine with the common workload's rules and answers each batch
with who entered and left. There is no log and no identity: what is left is transport, columns,
history, rules and time. Each process has a core of its own where there are two; what each spends
of it is shown beside the rate, since other work on the machine slows the one and not the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import grpc.aio
import numpy as np
import uvloop
from numpy.typing import NDArray

from segcore import Engine
from segcore._batch import Batch
from segcore.event_columns import EventColumns, Interned, PropertyColumn, TextColumn
from segcore.rule import MICRO, Kind
from tests.bench import workload

METHOD = "/coterie.bench.Core/Apply"
OPTIONS = [("grpc.max_receive_message_length", 64 << 20)]
FORMS = {
    "profile_id": "<u4",
    "event_type": "u1",
    "ts": "<i8",
    "category": "u1",
    "brand": "<u2",
    "sku": "<u2",
    "value": "<f8",
    "id": "S9",
}
"""A message holds these columns one after another, as they lie in memory."""


class Core:
    """An engine with the rules of the workload, and its dictionaries."""

    def __init__(self, shared: ModuleType, profiles: int, segments: int) -> None:
        self._shared = shared
        self._engine = Engine()
        self._known: dict[str, Interned] = {}
        for name, rule in workload.rules(shared, segments).items():
            self._engine.add_audience(name, 1, rule)
            while self._engine.build(1 << 20) < 1:
                pass
            self._engine.activate(name, 1)
        drawn = shared.make_profiles(profiles)
        values = {
            name: workload.attribute_values(shared, drawn, name) for name in workload.ATTRIBUTES
        }
        self._engine.advance(shared.START_MS, inclusive=True)
        for ordinal in range(profiles):
            row = {name: column[ordinal] for name, column in values.items()}
            self._engine.set_attributes(ordinal + 1, row, shared.START_MS)
        texts = {
            "type": shared.EVENT_TYPES,
            "came_with": ["crm:load"],
            "category": [str(code) for code in range(shared.N_CATEGORY)],
            "brand": [str(code) for code in range(shared.N_BRAND)],
            "sku": [str(code) for code in range(shared.N_SKU)],
        }
        for name, values_ in texts.items():
            self._known[name] = Batch.intern(self._engine.texts, values_)

    def apply(self, message: bytes) -> bytes:
        """Take one message; return who entered and left by it, as the engine has it."""
        batch = Batch.from_columns(self._engine.texts, self._columns(message))
        flips: NDArray[Any] = self._engine.apply(batch)
        return flips.tobytes()

    def _columns(self, message: bytes) -> EventColumns:
        part = unpack(message)
        count = len(part["ts"])
        bought = part["value"] != 0
        properties = [
            PropertyColumn(name, Kind.TEXT, part[name].astype(np.int64), None, self._known[name])
            for name in ("category", "brand", "sku")
        ]
        value = np.round(part["value"] * MICRO).astype(np.int64)
        properties.append(PropertyColumn("value", Kind.NUMBER, value, bought.astype(np.uint8)))
        return EventColumns(
            ordinals=part["profile_id"] + np.uint32(1),
            types=TextColumn(part["event_type"].astype(np.uint32), self._known["type"]),
            came_with=TextColumn(np.zeros(count, np.uint32), self._known["came_with"]),
            occurred_ms=part["ts"],
            received_ms=part["ts"],
            log_ms=part["ts"],
            ids=part["id"].tobytes(),
            id_ends=np.arange(1, count + 1) * part["id"].itemsize,
            properties=properties,
        )


def pack(events: Mapping[str, Any], start: int, end: int) -> bytes:
    """Return events `start` to before `end` as a message."""
    columns = (events[name][start:end].astype(form).tobytes() for name, form in FORMS.items())
    return b"".join(columns)


def unpack(message: bytes) -> dict[str, NDArray[Any]]:
    """Return the columns of a message, as they lie in it."""
    count = len(message) // sum(np.dtype(form).itemsize for form in FORMS.values())
    columns, start = {}, 0
    for name, form in FORMS.items():
        columns[name] = np.frombuffer(message, form, count, start)
        start += count * np.dtype(form).itemsize
    return columns


async def serve(core: Core) -> None:
    """Answer each message of a stream with what it changed; say the port on standard output."""

    async def apply(messages: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        async for message in messages:
            yield core.apply(message)

    server = grpc.aio.server(options=OPTIONS)
    service, _, method = METHOD[1:].partition("/")
    handler = grpc.stream_stream_rpc_method_handler(apply)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


async def send(port: int, messages: list[bytes]) -> tuple[float, int]:
    """Send all as fast as answers come; return the seconds and the bytes of the answers."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        start, size = time.perf_counter(), 0
        async for answer in channel.stream_stream(METHOD)(iter(messages)):
            size += len(answer)
        return time.perf_counter() - start, size


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pin(core: int) -> None:
    """Stay on one core, where there are two."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) > 1:
        os.sched_setaffinity(0, {available[core]})


def run_server(shared: ModuleType, given: argparse.Namespace) -> None:
    pin(1)
    core = Core(shared, given.profiles, given.segments)
    uvloop.run(serve(core))


def run_client(shared: ModuleType, given: argparse.Namespace) -> None:
    arguments = ["--serve", "--profiles", str(given.profiles), "--segments", str(given.segments)]
    command = [sys.executable, "-m", "tests.bench.stream", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            events = shared.make_events(given.profiles, given.events)
            events["id"] = np.char.zfill(np.arange(given.events).astype("S9"), 9)
            messages = [
                pack(events, start, min(start + given.batch, given.events))
                for start in range(0, given.events, given.batch)
            ]
            assert server.stdout is not None
            port = int(server.stdout.readline())
            pin(0)
            before_s = [cpu_s(server.pid), cpu_s(os.getpid())]
            taken_s, size = uvloop.run(send(port, messages))
            spent_s = np.array([cpu_s(server.pid), cpu_s(os.getpid())]) - before_s
        finally:
            server.terminate()
    print(
        f"{given.profiles} profiles, {given.segments} rules, batches of {given.batch}:"
        f" {given.events / taken_s / 1e6:.2f} M events/s, {size / given.events:.1f} bytes of flips"
        " an event"
    )
    server_ns, client_ns = spent_s / given.events * 1e9
    print(f"processor time an event: server {server_ns:.0f} ns, client {client_ns:.0f} ns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=200_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    shared = workload.generator()
    if given.serve:
        run_server(shared, given)
    else:
        run_client(shared, given)


if __name__ == "__main__":
    main()
