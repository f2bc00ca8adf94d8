"""What profile asks of identity."""

from __future__ import annotations

import grpc
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

    async def live(self, profile_id: int) -> int:
        """Return the profile that this id finds by now, 0 where it finds nobody."""
        request = pb.GetGraphRequest(
            who=identity_pb2.Who(profile_id=profile_id),
            consistency=consistency_pb2.Consistency(latest=True),
        )
        try:
            return (await self._stub.GetGraph(request)).profile_id
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return 0
            raise
