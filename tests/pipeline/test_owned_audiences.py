"""An audience that belongs to something works like any other, and is in nobody's way."""

import asyncio
from pathlib import Path

import grpc
import pytest

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from tests.pipeline.harness import HOUR, NOON, App, event, running, who

OWNER = "journeys/welcome/versions/1"
NAME = "audiences/welcome.1.exit"


def wanted(audience_id: str, rule: str, owner: str = "") -> pb.CreateAudienceRequest:
    audience = audience_pb2.Audience(display_name="A name", rule=rule, owner=owner)
    return pb.CreateAudienceRequest(audience_id=audience_id, audience=audience)


async def listed(app: App, *, owned: bool) -> list[str]:
    request = pb.ListAudiencesRequest(show_owned=owned)
    answer = await app.segmentation.ListAudiences(request)
    return [each.name for each in answer.audiences]


def test_an_owned_audience_is_read_by_its_name_and_named_by_no_rule(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path / "data") as app:
            rule = 'events("store_entry").exists()'
            await app.segmentation.CreateAudience(wanted("welcome.1.exit", rule, OWNER))
            await app.create("visitors", rule)
            await app.send(event("e1", "store_entry", "crm:1", received=NOON))
            await app.client.advance(NOON + HOUR)
            assert await listed(app, owned=False) == ["audiences/visitors"]
            assert await listed(app, owned=True) == ["audiences/visitors", NAME]
            shown = await app.segmentation.GetAudience(pb.GetAudienceRequest(name=NAME))
            assert (shown.audience.owner, shown.audience.member_count) == (OWNER, 1)
            assert (await app.member("welcome.1.exit", "crm:1")).member
            explained = await app.segmentation.Explain(
                pb.ExplainRequest(audience=NAME, who=who("crm:1"))
            )
            assert explained.clause.value == "true"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await app.create("others", 'audience("welcome.1.exit")')
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(story())
