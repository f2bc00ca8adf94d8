"""The one service that segmentation asks: identity, who an identifier is."""

from __future__ import annotations

import grpc.aio

from coterie.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from coterie.rpc.v1 import consistency_pb2
from coterie.type.v1 import identity_pb2

RESOLVE_TIMEOUT_S = 10.0
"""Longer than any healthy answer; the caller's own deadline is mostly shorter."""


class Identities:
    """Answers with profile ids."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = identity_service_pb2_grpc.IdentityServiceStub(channel)

    async def resolve(
        self, identity: identity_pb2.Identity, consistency: consistency_pb2.Consistency
    ) -> int:
        """Return the profile that has the identifier; 0 where nobody has it."""
        request = identity_service_pb2.ResolveRequest(
            identities=[identity], consistency=consistency
        )
        answer = await self._stub.Resolve(request, timeout=RESOLVE_TIMEOUT_S)
        return answer.profile_ids[0]
