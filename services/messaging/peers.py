"""What messaging asks of others: identity whose an identifier is, profile what is declared."""

from __future__ import annotations

import grpc
import grpc.aio

from coterie.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from coterie.profile.v1 import profile_service_pb2, profile_service_pb2_grpc
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2
from services.kit.errors import invalid_field
from services.messaging.app import Vocabulary

IDENTITY_FORM = "a namespace and a value as `coterie.type.v1.Identity` describes them"


class IdentityPeer:
    """Answers with profile ids."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = identity_service_pb2_grpc.IdentityServiceStub(channel)

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile that has the identifier, 0 where nobody has it.

        Raises InvalidArgument for what can be no identifier.
        """
        request = identity_service_pb2.ResolveRequest(
            identities=[identity], consistency=consistency
        )
        try:
            answer = await self._stub.Resolve(request)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            raise invalid_field("who.identity", "another form", IDENTITY_FORM) from None
        return answer.profile_ids[0]


class ProfilePeer:
    """Answers with what the schema declares."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = profile_service_pb2_grpc.ProfileServiceStub(channel)

    async def vocabulary(self) -> Vocabulary:
        """Return the names that templates may use, as the latest write left them."""
        request = profile_service_pb2.GetSchemaRequest(
            consistency=consistency_pb2.Consistency(latest=True)
        )
        schema = (await self._stub.GetSchema(request)).schema
        return Vocabulary(
            frozenset(field.name for field in schema.attributes),
            frozenset(
                field.name for event_type in schema.event_types for field in event_type.properties
            ),
        )
