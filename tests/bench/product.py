"""The whole product: the common workload through the durable log and every service of `coterie up`.

    python -m tests.bench.product [--profiles 100000] [--events 200000] [--rules 20] [--processes]

People are found by an identifier each, so identity resolves every event. What is sent was made
before; it goes in batches of 1,000 over one stream with a window of unanswered ones, and the clock
stops when every stage of every service has passed the last. `--processes` runs one process a
service on the same directory instead of one for all. Skips aloud without the shared workload.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, schema_pb2, value_pb2
from segcore.describe import describe
from segcore.rule import Kind
from services.host.client import Client
from tests.bench import workload

BATCH = 1_000
SERVICES = ("identity", "profile", "segmentation", "journey", "messaging")
KINDS = {
    Kind.TEXT: schema_pb2.FieldSchema(kind=value_pb2.VALUE_KIND_TEXT).kind,
    Kind.NUMBER: value_pb2.VALUE_KIND_NUMBER,
    Kind.FLAG: value_pb2.VALUE_KIND_FLAG,
    Kind.TIME: value_pb2.VALUE_KIND_TIME,
}


def schema(types: Sequence[str]) -> schema_pb2.Schema:
    """Return the schema of the workload."""
    properties = [
        schema_pb2.FieldSchema(name=name, kind=KINDS[kind])
        for name, kind in workload.PROPERTIES.items()
    ]
    return schema_pb2.Schema(
        attributes=[
            schema_pb2.FieldSchema(name=name, kind=KINDS[kind])
            for name, kind in workload.ATTRIBUTES.items()
        ],
        event_types=[
            schema_pb2.EventTypeSchema(type=each, properties=properties) for each in types
        ],
    )


def value(kind: Kind, plain: Any) -> value_pb2.Value:
    """Return a value as it goes over the wire."""
    if kind is Kind.TIME:
        made = value_pb2.Value()
        made.time.FromMilliseconds(plain)
        return made
    return value_pb2.Value(**{kind.value: plain})


def person(number: int) -> identity_pb2.Identity:
    return identity_pb2.Identity(namespace="crm", value=f"p{number}")


def attribute_batches(shared: Any, count: int) -> Iterator[bytes]:
    """Return all attributes of all profiles, in requests."""
    profiles = shared.make_profiles(count)
    columns = {
        name: workload.attribute_values(shared, profiles, name) for name in workload.ATTRIBUTES
    }
    for start in range(0, count, BATCH):
        request = profile_pb.IngestRequest()
        for number in range(start, min(count, start + BATCH)):
            change = change_pb2.AttributeChange(identities=[person(number)])
            for name, kind in workload.ATTRIBUTES.items():
                change.attributes[name].CopyFrom(value(kind, columns[name][number]))
            request.inputs.add().attributes.change.CopyFrom(change)
        yield request.SerializeToString()


def event_batches(shared: Any, profiles: int, count: int) -> Iterator[bytes]:
    """Return the events, in requests; they happen as they are received."""
    events = shared.make_events(profiles, count)
    columns = [events[name].tolist() for name in ("profile_id", "event_type", *workload.PROPERTIES)]
    rows = list(zip(*columns, strict=True))
    for start in range(0, count, BATCH):
        request = profile_pb.IngestRequest()
        for number, row in enumerate(rows[start : start + BATCH], start):
            who, kind, category, brand, sku, amount = row
            event = event_pb2.Event(
                event_id=f"e{number:09d}", type=shared.EVENT_TYPES[kind], identities=[person(who)]
            )
            for name, code in (("category", category), ("brand", brand), ("sku", sku)):
                event.properties[name].text = str(code)
            if amount:
                event.properties["value"].number = amount
            request.inputs.add().event.CopyFrom(event)
        yield request.SerializeToString()


async def send(channel: grpc.aio.Channel, batches: Sequence[bytes], window: int) -> str:
    """Send requests as they are, at most `window` unanswered; return the last revision."""
    call: Any = channel.stream_stream(
        "/coterie.profile.v1.ProfileService/Ingest",
        request_serializer=None,
        response_deserializer=profile_pb.IngestResponse.FromString,
    )
    room = asyncio.Semaphore(window)

    async def requests() -> AsyncIterator[bytes]:
        for batch in batches:
            await room.acquire()
            yield batch

    revision = ""
    async for answer in call(requests()):
        if answer.refused:
            raise RuntimeError(f"refused: {answer.refused[0].error.message}")
        revision = answer.revision or revision
        room.release()
    return revision


async def prepare(client: Client, shared: Any, rules: int) -> None:
    """Declare the schema and create the audiences."""
    extension = profile_pb.ExtendSchemaRequest(schema=schema(shared.EVENT_TYPES))
    await client.profile.ExtendSchema(extension)
    for audience_id, rule in workload.rules(shared, rules).items():
        audience = audience_pb2.Audience(display_name=audience_id, rule=describe(rule))
        await client.segmentation.CreateAudience(
            segmentation_pb.CreateAudienceRequest(audience_id=audience_id, audience=audience)
        )
        get = segmentation_pb.GetAudienceRequest(name=f"audiences/{audience_id}")
        while True:
            answer = await client.segmentation.GetAudience(get)
            if answer.audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
                break
            await asyncio.sleep(0.02)


async def measure(addresses: Mapping[str, str], options: argparse.Namespace) -> None:
    shared = workload.generator()
    people = list(attribute_batches(shared, options.profiles))
    events = list(event_batches(shared, options.profiles, options.events))
    async with Client(addresses) as client, grpc.aio.insecure_channel(addresses["profile"]) as way:
        await prepare(client, shared, options.rules)
        for what, batches, count in (
            ("attributes of people", people, options.profiles),
            ("events", events, options.events),
        ):
            start = time.perf_counter()
            revision = await send(way, batches, options.window)
            accepted = time.perf_counter() - start
            await client.wait_progress(revision, timeout_s=3600)
            done = time.perf_counter() - start
            print(
                f"{count:>10,} {what:22} accepted at {count / accepted:>9,.0f}/s,"
                f" through every service at {count / done:>9,.0f}/s"
            )


def free_ports() -> dict[str, int]:
    """Return a free port for each service."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in SERVICES]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(SERVICES, sockets, strict=True)}


async def run(options: argparse.Namespace) -> None:
    ports = free_ports()
    directory = tempfile.mkdtemp()
    config = Path(directory) / "coterie.yaml"
    config.write_text(
        "ports: {" + ", ".join(f"{name}: {port}" for name, port in ports.items()) + "}\n"
    )
    command = [str(Path(sys.executable).with_name("coterie"))]
    common = ["--data", f"{directory}/data", "--config", str(config)]
    starts = [[*command, "serve", name, *common] for name in SERVICES]
    if not options.processes:
        starts = [[*command, "up", *common]]
    suites = [
        await asyncio.create_subprocess_exec(
            *start, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        for start in starts
    ]
    try:
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        async with Client(addresses) as client:
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await client.progress()
                    break
                await asyncio.sleep(0.2)
        await measure(addresses, options)
    finally:
        for suite in suites:
            suite.send_signal(signal.SIGTERM)
        for suite in suites:
            await suite.wait()
        shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profiles", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--processes", action="store_true")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
