"""The profile service on its real gRPC interface, with an identity that is as simple as can be.

The identity here gives every first identifier a profile, knows no merges of its own, and moves only
when a test says so: that makes "not yet there" a state that a test can be in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from profile_inputs import T0

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.identity.v1 import identity_service_pb2_grpc as identity_rpc
from coterie.log.v1 import facts_pb2, inbound_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.profile.v1 import profile_service_pb2_grpc as rpc
from coterie.rpc.v1 import consistency_pb2
from services.kit.clock import Clock, ManualClock
from services.kit.config import Config
from services.kit.datadir import DataDirectory
from services.kit.errors import FailedPrecondition
from services.kit.log.port import Entry, Log
from services.kit.log.sql import SqlLog, create_logs
from services.kit.module import Context
from services.kit.rpc.server import MAX_INGEST_BYTES, Server
from services.kit.sql import Database
from services.kit.telemetry import Tracing
from services.profile.module import ProfileModule, build

PERSONAL = "ada@example.org"
Story = Callable[["World"], Awaitable[None]]


class FakeIdentity(identity_rpc.IdentityServiceServicer):
    """Whose an identifier is, and facts from inputs."""

    def __init__(self, inbound: Log, facts: Log) -> None:
        self._inbound = inbound
        self._facts = facts
        self.profiles: dict[tuple[str, str], int] = {}
        self.asked: list[consistency_pb2.Consistency] = []

    async def Resolve(  # noqa: N802 - gRPC names its methods
        self, request: identity_pb.ResolveRequest, _context: Any
    ) -> identity_pb.ResolveResponse:
        self.asked.append(request.consistency)
        keys = [(one.namespace, one.value) for one in request.identities]
        return identity_pb.ResolveResponse(profile_ids=[self.profiles.get(k, 0) for k in keys])

    async def Link(self, *_: Any) -> identity_pb.LinkResponse:  # noqa: N802 - gRPC names its methods
        """Refuse: profile never asks for this."""
        raise FailedPrecondition("UNAVAILABLE", "profile links nobody")

    async def Unlink(self, *_: Any) -> identity_pb.UnlinkResponse:  # noqa: N802 - as above
        """Refuse: profile never asks for this."""
        raise FailedPrecondition("UNAVAILABLE", "profile parts nobody")

    async def GetGraph(self, *_: Any) -> identity_pb.GetGraphResponse:  # noqa: N802 - as above
        """Refuse: profile never asks for this."""
        raise FailedPrecondition("UNAVAILABLE", "profile reads no graph")

    def work(self) -> None:
        """Turn what is new in the inbound log into facts."""
        done = self._facts.last()
        for record in self._inbound.read(done.source if done else 0, 1000):
            pack = facts_pb2.FactPack(inbound_seq=record.seq)
            for index, one in enumerate(inbound_pb2.InboundPack.FromString(record.payload).inputs):
                pack.facts.append(self._fact(index, one))
            self._facts.append([Entry(pack.SerializeToString(), record.seq)])

    def _fact(self, index: int, one: inbound_pb2.Inbound) -> facts_pb2.Fact:
        fact = facts_pb2.Fact(
            index=index,
            log_time_ms=one.received_ms,
            received_ms=one.received_ms,
            input_id=one.input_id,
            traceparent=one.traceparent,
        )
        kind = one.WhichOneof("body") or ""
        body = getattr(one, kind)
        getattr(fact, kind).CopyFrom(body)
        if hasattr(body, "identities"):
            first = body.identities[0]
            key = (first.namespace, first.value)
            fact.profile_id = self.profiles.setdefault(key, len(self.profiles) + 1)
        return fact


@dataclass
class World:
    """The service with its logs."""

    module: ProfileModule
    identity: FakeIdentity
    stub: rpc.ProfileServiceAsyncStub
    channel: grpc.aio.Channel
    inbound: Log
    facts: Log
    clock: Clock
    database: Database
    servers: list[Server] = field(default_factory=list)

    def work(self) -> None:
        """Let identity and the projection come as far as the inbound log."""
        self.identity.work()
        self.project()

    def project(self) -> None:
        """Let the projection come as far as the facts."""
        for stage in self.module.stages:
            while stage.step(100):
                pass


@asynccontextmanager
async def running(
    path: Path, clock: Clock, *, backlog: int = 5000, tracing: Tracing | None = None
) -> AsyncIterator[World]:
    """Run the service on a data directory."""
    config = Config(
        data_dir=path,
        clock="virtual" if isinstance(clock, ManualClock) else "system",
        max_backlog_packs=backlog,
    )
    directory = DataDirectory(path)
    log_database = Database(f"sqlite:///{directory.log_path}")
    create_logs(log_database)
    logs = {name: SqlLog(log_database, name) for name in ("inbound", "facts-0")}
    database = Database(f"sqlite:///{directory.database_path('profile')}")
    used = tracing or Tracing()
    identity = FakeIdentity(logs["inbound"], logs["facts-0"])
    identity_server = Server("127.0.0.1", 0, used)
    identity_rpc.add_IdentityServiceServicer_to_server(identity, identity_server.grpc)
    await identity_server.start([])
    server = Server("127.0.0.1", 0, used, MAX_INGEST_BYTES)
    async with (
        grpc.aio.insecure_channel(identity_server.address) as peer,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        module = build(
            Context(
                config=config,
                directory=directory,
                clock=clock,
                logs=logs.__getitem__,
                database=lambda _: database,
                peer=lambda _: peer,
                tracing=used,
            )
        )
        module.register(server.grpc)
        await server.start(module.service_names)
        await module.start()
        try:
            stub = rpc.ProfileServiceStub(channel)
            yield World(
                module,
                identity,
                stub,
                channel,
                logs["inbound"],
                logs["facts-0"],
                clock,
                database,
            )
        finally:
            await server.stop(0)
            await identity_server.stop(0)
            await module.stop()
            database.close()
            log_database.close()


def reason_of(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    """Return the code and the reason of a failed call."""
    for detail in details_of(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return error.code(), info.reason
    return error.code(), ""


def details_of(error: grpc.aio.AioRpcError) -> list[Packed]:
    """Return what the status carries."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
    raw = trailers.get("grpc-status-details-bin", b"")
    return list(status_pb2.Status.FromString(raw).details)


def play(path: Path, story: Story, clock: Clock | None = None, **options: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(20):
            async with running(path, clock or ManualClock(T0), **options) as world:
                await story(world)

    asyncio.run(run())


async def send(world: World, *inputs: pb.IngestInput) -> pb.IngestBatchResponse:
    return await world.stub.IngestBatch(pb.IngestBatchRequest(inputs=inputs))


async def fails(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert PERSONAL not in str(caught.value)
    return reason_of(caught.value)
