"""What profile asks of identity."""

from __future__ import annotations

import grpc.aio

from coterie.identity.v1 import identity_service_pb2 as pb
from coterie.identity.v1 import identity_service_pb2_grpc as rpc
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2


class IdentityPeer:
    """Asks the identity service whose an identifier is."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc.IdentityServiceStub(channel)

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile id, 0 for an identifier that nobody has; as fresh as is asked for."""
        request = pb.ResolveRequest(identities=[identity], consistency=consistency)
        response = await self._stub.Resolve(request)
        return response.profile_ids[0]
