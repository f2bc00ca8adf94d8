"""Every kind of value through the profile service, over real gRPC."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from profile_inputs import T0, attributes, event, identity, input_of, value
from profile_world import World, running

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import event_pb2, identity_pb2, schema_pb2, value_pb2
from services.kit.clock import ManualClock

ADA = identity_pb2.Who(identity=identity("crm:ada"))
LATEST = consistency_pb2.Consistency(latest=True)


def _batch(one: event_pb2.Event) -> pb.IngestBatchRequest:
    return pb.IngestBatchRequest(inputs=[input_of(one)])


def test_every_kind_of_value_comes_back_as_it_was_sent(data_dir: Path) -> None:
    said = {
        "text": "é",
        "number": 1.5,
        "flag": False,
        "time": T0,
        "born": date(1992, 2, 29),
        "tags": ("b", "a", "b"),
        "none": (),
    }

    async def story() -> None:
        async with asyncio.timeout(20), running(data_dir, ManualClock(T0)) as world:
            await told(world)

    async def told(world: World) -> None:
        kinds = {"born": value_pb2.VALUE_KIND_DATE, "tags": value_pb2.VALUE_KIND_TEXTS}
        fields = [schema_pb2.FieldSchema(name=name, kind=kind) for name, kind in kinds.items()]
        extension = schema_pb2.Schema(
            attributes=fields,
            event_types=[schema_pb2.EventTypeSchema(type="purchase", properties=fields)],
        )
        await world.stub.ExtendSchema(pb.ExtendSchemaRequest(schema=extension))
        world.work()
        declared = (await world.stub.GetSchema(pb.GetSchemaRequest(consistency=LATEST))).schema
        assert {one.name: one.kind for one in declared.attributes} == kinds
        sent = await world.stub.IngestBatch(_batch(event("e-1", properties=said)))
        assert not sent.refused
        change = attributes({**said, "gone": ("a",)})
        await world.stub.Upsert(pb.UpsertRequest(change=change))
        await world.stub.Upsert(pb.UpsertRequest(change=attributes({"gone": None})))
        wrong = await world.stub.IngestBatch(_batch(event("e-2", properties={"born": ("a",)})))
        assert wrong.refused[0].error.message.endswith("declared as date, found texts")
        world.work()
        found = (
            await world.stub.GetProfile(pb.GetProfileRequest(who=ADA, consistency=LATEST))
        ).profile
        want = {name: value(plain) for name, plain in said.items()}
        assert {name: one.value for name, one in found.attributes.items()} == want
        asked = pb.ListEventsRequest(who=ADA, consistency=LATEST)
        (past,) = (await world.stub.ListEvents(asked)).events
        assert dict(past.event.properties) == want

    asyncio.run(story())
