"""What journey asks of other services."""

from __future__ import annotations

import grpc
import grpc.aio

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.identity.v1 import identity_service_pb2_grpc as identity_rpc
from coterie.messaging.v1 import messaging_service_pb2 as messaging_pb
from coterie.messaging.v1 import messaging_service_pb2_grpc as messaging_rpc
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.profile.v1 import profile_service_pb2_grpc as profile_rpc
from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.segmentation.v1 import segmentation_service_pb2_grpc as segmentation_rpc
from coterie.type.v1 import identity_pb2, schema_pb2
from services.kit.errors import invalid_field
from services.kit.ids import derive_id
from services.kit.names import audience_name

IDENTITY_FORM = "a namespace and a value as `coterie.type.v1.Identity` describes them"
PAGE = 1000
LATEST = consistency_pb2.Consistency(latest=True)


class IdentityPeer:
    """Knows whose an identifier is."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = identity_rpc.IdentityServiceStub(channel)

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile that has the identifier, 0 where nobody has it.

        Raises InvalidArgument for what can be no identifier.
        """
        request = identity_pb.ResolveRequest(identities=[identity], consistency=consistency)
        try:
            answer = await self._stub.Resolve(request)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            raise invalid_field("who.identity", "another form", IDENTITY_FORM) from None
        return answer.profile_ids[0]


class ProfilePeer:
    """Knows what rules may say of events and attributes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = profile_rpc.ProfileServiceStub(channel)

    async def schema(self) -> schema_pb2.Schema:
        """Return the schema as the latest write left it."""
        answer = await self._stub.GetSchema(profile_pb.GetSchemaRequest(consistency=LATEST))
        return answer.schema


class SegmentationPeer:
    """Keeps the audiences that journeys name, and those that they own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = segmentation_rpc.SegmentationServiceStub(channel)

    async def audiences(self) -> frozenset[str]:
        """Return the ids of all audiences that rules may name."""
        found: set[str] = set()
        token = ""
        while True:
            request = segmentation_pb.ListAudiencesRequest(
                page_size=PAGE, page_token=token, consistency=LATEST
            )
            answer = await self._stub.ListAudiences(request)
            found.update(each.name.partition("/")[2] for each in answer.audiences)
            token = answer.next_page_token
            if not token:
                return frozenset(found)

    async def own(self, audience_id: str, rule: str, owner: str) -> bool:
        """Save a condition as an audience; return False where the id has another rule already."""
        wanted = audience_pb2.Audience(display_name=audience_id, rule=rule, owner=owner)
        request = segmentation_pb.CreateAudienceRequest(
            audience_id=audience_id,
            audience=wanted,
            request_id=derive_id("owned", audience_id, rule),
        )
        try:
            await self._stub.CreateAudience(request)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise
            found = await self._get(audience_id)
            return (found.rule, found.owner) == (rule, owner)
        return True

    async def is_active(self, audience_id: str) -> bool:
        """Return whether the members of an audience are complete."""
        found = await self._get(audience_id)
        return found.state == audience_pb2.AUDIENCE_STATE_ACTIVE

    async def _get(self, audience_id: str) -> audience_pb2.Audience:
        request = segmentation_pb.GetAudienceRequest(
            name=audience_name(audience_id), consistency=LATEST
        )
        return (await self._stub.GetAudience(request)).audience


class MessagingPeer:
    """Knows the templates."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = messaging_rpc.MessagingServiceStub(channel)

    async def has_template(self, template_id: str) -> bool:
        """Return whether there is a template of that id."""
        request = messaging_pb.GetTemplateRequest(name=f"templates/{template_id}")
        try:
            await self._stub.GetTemplate(request)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.INVALID_ARGUMENT,
            }:
                raise
            return False
        return True
