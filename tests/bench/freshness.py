"""How long from an ingest call to the visible membership? At rest, and under load.

    python -m tests.bench.freshness [--events 10000] [--load 2000]

Starts `coterie up` on a temporary directory with the system clock. Each measured event is the first
of a new person and puts that person into an audience; what is timed is one IngestBatch call and the
GetMembership call (at least that revision) that sees the entry. Under load another connection sends
`--load` events a second, open loop, for people of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from coterie.type.v1 import event_pb2, identity_pb2, schema_pb2

PORTS = {"identity": 17101, "profile": 17102, "segmentation": 17103}
AUDIENCE = "audiences/recent"
RULE = 'events("visit").last(hours(1)).count() >= 1'


def visit(event_id: str, person: str) -> profile_pb.IngestInput:
    identity = identity_pb2.Identity(namespace="crm", value=person)
    event = event_pb2.Event(event_id=event_id, type="visit", identities=[identity])
    return profile_pb.IngestInput(event=event)


async def prepare(profile: ProfileServiceStub, segmentation: SegmentationServiceStub) -> None:
    schema = schema_pb2.Schema(event_types=[schema_pb2.EventTypeSchema(type="visit")])
    await profile.ExtendSchema(profile_pb.ExtendSchemaRequest(schema=schema))
    audience = audience_pb2.Audience(display_name="Recent", rule=RULE)
    request = segmentation_pb.CreateAudienceRequest(audience_id="recent", audience=audience)
    await segmentation.CreateAudience(request)
    get = segmentation_pb.GetAudienceRequest(name=AUDIENCE)
    while True:
        answer = await segmentation.GetAudience(get)
        if answer.audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
            return
        await asyncio.sleep(0.02)


async def one(
    profile: ProfileServiceStub, segmentation: SegmentationServiceStub, name: str
) -> tuple[float, float]:
    """Return the seconds until the answer of the ingest call, and until the membership was seen."""
    start = time.perf_counter()
    batch = profile_pb.IngestBatchRequest(inputs=[visit(name, name)])
    accepted = await profile.IngestBatch(batch)
    acknowledged = time.perf_counter()
    who = identity_pb2.Who(identity=identity_pb2.Identity(namespace="crm", value=name))
    fresh = consistency_pb2.Consistency(at_least=accepted.revision)
    request = segmentation_pb.GetMembershipRequest(audience=AUDIENCE, who=who, consistency=fresh)
    seen = await segmentation.GetMembership(request)
    if not seen.membership.member:
        raise RuntimeError(f"{name} is no member at revision {accepted.revision}")
    return acknowledged - start, time.perf_counter() - start


async def press(profile: ProfileServiceStub, rate: int, label: str) -> None:
    """Send `rate` events a second, whatever the answers take, until cancelled."""
    waiting: set[asyncio.Task[object]] = set()
    sent = 0
    start = time.perf_counter()
    while True:
        due = int((time.perf_counter() - start) * rate) - sent
        if due > 0:
            names = [f"{label}-{sent + index}" for index in range(min(due, 1000))]
            batch = profile_pb.IngestBatchRequest(inputs=[visit(name, name) for name in names])
            task = asyncio.ensure_future(profile.IngestBatch(batch))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            sent += len(names)
        await asyncio.sleep(0.01)


def report(title: str, times: list[tuple[float, float]]) -> None:
    for what, column in (("acknowledged", 0), ("visible", 1)):
        values = sorted(each[column] * 1000 for each in times)
        median, p99 = values[len(values) // 2], values[int(len(values) * 0.99)]
        figures = f"median {median:7.2f} ms   p99 {p99:7.2f} ms   max {values[-1]:7.2f} ms"
        print(f"{title:28} {what:13} {figures}")


async def measure(events: int, load: int) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    profile_channel = grpc.aio.insecure_channel(f"127.0.0.1:{PORTS['profile']}")
    load_channel = grpc.aio.insecure_channel(f"127.0.0.1:{PORTS['profile']}", options=options)
    segmentation_channel = grpc.aio.insecure_channel(f"127.0.0.1:{PORTS['segmentation']}")
    async with profile_channel, load_channel, segmentation_channel:
        profile = ProfileServiceStub(profile_channel)
        segmentation = SegmentationServiceStub(segmentation_channel)
        await prepare(profile, segmentation)
        for index in range(200):
            await one(profile, segmentation, f"warm-{index}")
        report("at rest", [await one(profile, segmentation, f"rest-{i}") for i in range(events)])
        presser = asyncio.create_task(press(ProfileServiceStub(load_channel), load, "load"))
        title = f"under {load:,} events/s more"
        report(title, [await one(profile, segmentation, f"busy-{i}") for i in range(events)])
        presser.cancel()


async def run(events: int, load: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "coterie.yaml"
        ports = ", ".join(f"{name}: {port}" for name, port in PORTS.items())
        config.write_text(f"ports: {{{ports}}}\n", encoding="utf-8")
        command = Path(sys.executable).with_name("coterie")
        suite = await asyncio.create_subprocess_exec(
            str(command),
            "up",
            "--data",
            f"{directory}/data",
            "--config",
            str(config),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert suite.stdout is not None
            while b"Ctrl-C" not in await suite.stdout.readline():
                pass
            await measure(events, load)
        finally:
            suite.send_signal(signal.SIGTERM)
            await suite.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--load", type=int, default=2_000)
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()};"
        f" {arguments.events:,} events, one at a time"
    )
    asyncio.run(run(arguments.events, arguments.load))


if __name__ == "__main__":
    main()
