"""A whole suite on a virtual clock, spoken to through its gRPC APIs alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.sdk.trace.export import SpanExporter

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.segmentation.v1.segmentation_service_pb2_grpc import SegmentationServiceStub
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, schema_pb2, value_pb2
from segcore import PropertyValue
from services.host.client import Client
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from services.kit.rpc.dates import date_message

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


ACTIVE = audience_pb2.AUDIENCE_STATE_ACTIVE
LATEST = consistency_pb2.Consistency(latest=True)

_TEXT, _NUMBER, _FLAG, _TIME = 1, 2, 3, 4
SCHEMA = schema_pb2.Schema(
    attributes=[
        schema_pb2.FieldSchema(name="loyalty.tier", kind=_TEXT),
        schema_pb2.FieldSchema(name="age", kind=_NUMBER),
    ],
    event_types=[
        schema_pb2.EventTypeSchema(type="store_entry"),
        schema_pb2.EventTypeSchema(type="product_view"),
        schema_pb2.EventTypeSchema(
            type="purchase",
            properties=[
                schema_pb2.FieldSchema(name="total", kind=_NUMBER),
                schema_pb2.FieldSchema(name="channel", kind=_TEXT),
            ],
        ),
    ],
)


def stamp(at_ms: int) -> Timestamp:
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def at_ms(time: Timestamp) -> int:
    return time.seconds * 1000 + time.nanos // 1_000_000


def identity(text: str) -> identity_pb2.Identity:
    namespace, _, value = text.partition(":")
    return identity_pb2.Identity(namespace=namespace, value=value)


def who(text: str) -> identity_pb2.Who:
    return identity_pb2.Who(identity=identity(text))


def value(plain: PropertyValue | date | tuple[str, ...]) -> value_pb2.Value:
    if isinstance(plain, bool):
        return value_pb2.Value(flag=plain)
    if isinstance(plain, str):
        return value_pb2.Value(text=plain)
    if isinstance(plain, date):
        return value_pb2.Value(date=date_message(plain))
    if isinstance(plain, tuple):
        return value_pb2.Value(texts=value_pb2.Texts(values=plain))
    return value_pb2.Value(number=plain)


def event(  # noqa: PLR0913  one for each part of an event
    event_id: str,
    kind: str,
    people: str,
    *,
    received: int,
    occurred: int | None = None,
    items: tuple[tuple[str, float, float], ...] = (),
    **properties: PropertyValue,
) -> profile_pb.IngestInput:
    """Return an input: `people` are identifiers with blanks between, items (sku, count, price)."""
    made = event_pb2.Event(
        event_id=event_id,
        type=kind,
        identities=[identity(each) for each in people.split()],
        items=[event_pb2.LineItem(sku=s, quantity=q, price=p) for s, q, p in items],
        properties={name: value(plain) for name, plain in properties.items()},
    )
    if occurred is not None:
        made.occurred_time.CopyFrom(stamp(occurred))
    return profile_pb.IngestInput(event=made, received_time=stamp(received))


@dataclass
class App:
    """A running suite with its stubs."""

    client: Client

    @property
    def profile(self) -> ProfileServiceStub:
        return self.client.profile

    @property
    def segmentation(self) -> SegmentationServiceStub:
        return self.client.segmentation

    async def send(self, *inputs: profile_pb.IngestInput) -> str:
        """Send a batch of which every input must be accepted; return the revision."""
        answer = await self.profile.IngestBatch(profile_pb.IngestBatchRequest(inputs=inputs))
        assert not answer.refused, answer.refused
        return str(answer.revision)

    async def attributes(
        self, people: str, received: int, change_id: str = "", **values: Any
    ) -> str:
        named = {name.replace("__", "."): value(plain) for name, plain in values.items()}
        change = change_pb2.AttributeChange(
            identities=[identity(each) for each in people.split()], attributes=named
        )
        wrapped = profile_pb.AttributesInput(change_id=change_id, change=change)
        return await self.send(
            profile_pb.IngestInput(attributes=wrapped, received_time=stamp(received))
        )

    async def create(self, audience_id: str, rule: str) -> None:
        """Save an audience and wait until it is live."""
        wanted = audience_pb2.Audience(display_name=audience_id, rule=rule)
        request = segmentation_pb.CreateAudienceRequest(audience_id=audience_id, audience=wanted)
        await self.segmentation.CreateAudience(request)
        get = segmentation_pb.GetAudienceRequest(name=f"audiences/{audience_id}")
        async with asyncio.timeout(20):
            while (await self.segmentation.GetAudience(get)).audience.state != ACTIVE:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # the state is another process's: there is no event

    async def member(self, audience_id: str, person: str) -> audience_pb2.Membership:
        request = segmentation_pb.GetMembershipRequest(
            audience=f"audiences/{audience_id}", who=who(person), consistency=LATEST
        )
        answer = await self.segmentation.GetMembership(request)
        return answer.membership

    async def members(self, audience_id: str) -> list[int]:
        request = segmentation_pb.ListMembersRequest(
            audience=f"audiences/{audience_id}", consistency=LATEST
        )
        stream = self.segmentation.ListMembers(request)
        return [each async for part in stream for each in part.profile_ids]

    async def transitions(self, count: int) -> list[tuple[str, bool, int, str]]:
        """Return the first `count` transitions: audience, entered, instant, cause."""
        found: list[tuple[str, bool, int, str]] = []
        request = segmentation_pb.WatchTransitionsRequest(from_start=True)
        stream = self.segmentation.WatchTransitions(request, timeout=10)
        async for part in stream:
            for each in part.transitions:
                cause = audience_pb2.Cause.Name(each.cause).removeprefix("CAUSE_").lower()
                audience_id = each.audience.partition("/")[2]
                found.append((audience_id, each.entered, at_ms(each.time), cause))
            if len(found) >= count:
                stream.cancel()
                return found
        raise AssertionError("the stream ended by itself")


@asynccontextmanager
async def running(
    directory: Path, *, exporter: SpanExporter | None = None, **settings: Any
) -> AsyncIterator[App]:
    """Run every service on `directory` with a virtual clock at NOON, schema declared."""
    config = Config(data_dir=directory, clock="virtual", ports=FREE_PORTS, **settings)
    suite = Suite(config, exporter=exporter)
    await suite.start()
    try:
        async with connected(suite.addresses()) as app:
            yield app
    finally:
        await suite.stop()


@asynccontextmanager
async def connected(addresses: Mapping[str, str]) -> AsyncIterator[App]:
    """Speak to services that run already; declares the schema."""
    async with Client(addresses) as client:
        request = profile_pb.ExtendSchemaRequest(schema=SCHEMA)
        answer = await client.profile.ExtendSchema(request)
        await client.wait_progress(answer.revision)
        yield App(client)
