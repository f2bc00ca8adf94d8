"""All services in one process on a virtual clock, with a schema, an audience and a template."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from coterie.messaging.v1 import messaging_service_pb2 as messaging_pb
from coterie.messaging.v1 import template_pb2
from services.host.embedded import Suite
from services.host.modules import BUILDERS
from services.journey.module import build as build_journey
from services.kit.config import FREE_PORTS, Config
from services.messaging.module import build as build_messaging
from tests.pipeline.harness import App, connected

ALL = {**BUILDERS, "messaging": build_messaging, "journey": build_journey}
RULE = 'events("store_entry").exists() && !events("purchase").exists()'


@asynccontextmanager
async def running(directory: Path, **settings: Any) -> AsyncIterator[App]:
    """Run every service, with the audience `visitors` and the template `hello`."""
    exporter = settings.pop("exporter", None)
    config = Config(data_dir=directory, clock="virtual", ports=FREE_PORTS, **settings)
    suite = Suite(config, tuple(ALL), builders=ALL, exporter=exporter)
    await suite.start()
    try:
        async with connected(suite.addresses()) as app:
            yield app
    finally:
        await suite.stop()


async def prepare(app: App) -> None:
    """Save what the journeys of the tests refer to."""
    await app.create("visitors", RULE)
    template = template_pb2.Template(display_name="Hello", text="Hello")
    await app.client.messaging.PublishTemplate(
        messaging_pb.PublishTemplateRequest(template_id="hello", template=template)
    )


def problems(error: grpc.aio.AioRpcError) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the reason, its metadata and the mistakes by field."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    found = {each.field: each.description for each in bad.field_violations}
    return info.reason, dict(info.metadata), found
