"""The audience, the journey and the message of the story, as files that a marketer would write."""

from __future__ import annotations

import importlib.resources

import grpc
import grpc.aio

from coterie.journey.v1 import journey_service_pb2
from coterie.messaging.v1 import messaging_service_pb2
from coterie.segmentation.v1 import audience_pb2, segmentation_service_pb2
from services.host.client import Client
from services.host.definitions.journey_file import read_journey
from services.host.definitions.template_file import read_template
from services.host.demo.story import SECONDS, Tempo
from services.kit.ids import derive_id
from services.kit.names import audience_name


class Definitions:
    """What is saved before the story begins: the same each time, so that it is saved once."""

    def __init__(self, tempo: Tempo) -> None:
        suffix = "-in-seconds" if tempo is SECONDS else ""
        self._audience_id = f"in-store-abandoners{suffix}"
        self._journey_id = f"in-store-abandoner{suffix}"
        self.rule = _shipped("audience.cel").format(window=tempo.window).strip()
        self.journey_text = _shipped("journey.yaml").format(
            journey=self._journey_id, audience=self._audience_id, wait=tempo.wait
        )
        self._template_text = _shipped("template.yaml")

    @property
    def audience_name(self) -> str:
        """The audience's name."""
        return audience_name(self._audience_id)

    @property
    def journey_name(self) -> str:
        """The journey's name."""
        return f"journeys/{self._journey_id}"

    async def save_audience(self, client: Client) -> None:
        """Save the audience, unless a former story has."""
        audience = audience_pb2.Audience(display_name="Left the store with nothing", rule=self.rule)
        request = segmentation_service_pb2.CreateAudienceRequest(
            audience_id=self._audience_id, audience=audience
        )
        try:
            await client.segmentation.CreateAudience(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    def template(self) -> messaging_service_pb2.PublishTemplateRequest:
        """Return the request that publishes the template."""
        found = read_template("template.yaml", self._template_text)
        return messaging_service_pb2.PublishTemplateRequest(
            template_id=found.template_id,
            template=found.template,
            request_id=derive_id("demo", self._template_text),
        )

    def journey(self) -> journey_service_pb2.PublishJourneyRequest:
        """Return the request that publishes the journey."""
        found = read_journey("journey.yaml", self.journey_text)
        return journey_service_pb2.PublishJourneyRequest(
            journey_id=found.journey_id,
            journey=found.journey,
            request_id=derive_id("demo", self.journey_text),
        )


def _shipped(name: str) -> str:
    place = importlib.resources.files("services.host.demo") / "data" / name
    return place.read_text(encoding="utf-8")
