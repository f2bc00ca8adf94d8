"""The one service that segmentation asks: identity, who an identifier is."""

from __future__ import annotations

import grpc
import grpc.aio

from coterie.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2
from services.kit.errors import invalid_field

IDENTITY_FORM = "a namespace and a value as `coterie.type.v1.Identity` describes them"


class Identities:
    """Answers with profile ids."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = identity_service_pb2_grpc.IdentityServiceStub(channel)

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile that has the identifier; 0 where nobody has it.

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
