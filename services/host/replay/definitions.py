"""Declares what rules speak of and saves the audiences; what is there already stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import grpc.aio

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import schema_pb2
from services.host.client import Client
from services.host.definitions.audience_file import AudienceSpec
from services.kit.names import audience_name

TIMEOUT_S = 30.0
BUILD_TIMEOUT_S = 600.0
"""A new audience over a history that is there already is computed from all of it."""
POLL_S = 0.02
LATEST = consistency_pb2.Consistency(latest=True)


class DefinitionError(Exception):
    """The schema or an audience was refused: which, and the API's words."""


async def declare(client: Client, schema: schema_pb2.Schema, specs: Sequence[AudienceSpec]) -> None:
    """Return once rules can use the schema and every audience is active; raises DefinitionError."""
    if schema.attributes or schema.event_types:
        request = profile_pb.ExtendSchemaRequest(schema=schema)
        try:
            await client.profile.ExtendSchema(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise DefinitionError(f"the schema was refused: {error.details()}") from None
    for spec in specs:
        await _create(client, spec)


async def _create(client: Client, spec: AudienceSpec) -> None:
    wanted = audience_pb2.Audience(display_name=spec.display_name, rule=spec.rule)
    request = segmentation_pb.CreateAudienceRequest(audience_id=spec.audience_id, audience=wanted)
    try:
        await client.segmentation.CreateAudience(request, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise DefinitionError(
                f"audience {spec.audience_id!r} was refused: {error.details()}"
            ) from None
    found = await _active(client, spec.audience_id)
    if found.rule != spec.rule:
        raise DefinitionError(
            f"audience {spec.audience_id!r}: expected the rule {spec.rule!r}, found {found.rule!r}"
            " in the directory; give the new rule another id, or replay into another directory"
        )


async def _active(client: Client, audience_id: str) -> audience_pb2.Audience:
    request = segmentation_pb.GetAudienceRequest(
        name=audience_name(audience_id), consistency=LATEST
    )
    try:
        async with asyncio.timeout(BUILD_TIMEOUT_S):
            while True:
                answer = await client.segmentation.GetAudience(request, timeout=TIMEOUT_S)
                if answer.audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
                    return answer.audience
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise DefinitionError(
            f"audience {audience_id!r} is still being built after {BUILD_TIMEOUT_S:g} s"
        ) from None
