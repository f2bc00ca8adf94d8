"""What identity appends to the inbound log: links and un-merges that are asked for, and ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from services.identity.domain.namespaces import Identifier
from services.identity.wire import render_identity
from services.kit.errors import Unavailable
from services.kit.log.port import LogError


class Gateway(Protocol):
    """The way into the log, as `services.kit.log.batching` offers it."""

    async def append(self, payload: bytes) -> int:
        """Return the sequence of the record once it is on disk."""


class InboundWriter:
    """Appends single inputs. Raises Unavailable where it is not known whether one was stored."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def link(
        self,
        identifiers: Sequence[Identifier],
        input_id: str,
        received_ms: int,
        traceparent: str,
    ) -> int:
        """Append a link; return its position."""
        message = Inbound(input_id=input_id, received_ms=received_ms, traceparent=traceparent)
        message.link.identities.extend(map(render_identity, identifiers))
        return await self._append(message)

    async def unlink(
        self,
        identifiers: Sequence[Identifier],
        input_id: str,
        received_ms: int,
        traceparent: str,
    ) -> int:
        """Append an un-merge; return its position."""
        message = Inbound(input_id=input_id, received_ms=received_ms, traceparent=traceparent)
        message.unlink.identities.extend(map(render_identity, identifiers))
        return await self._append(message)

    async def tick(self, received_ms: int) -> int:
        """Append a tick; return its position."""
        message = Inbound(received_ms=received_ms)
        message.tick.SetInParent()
        return await self._append(message)

    async def nudge(self, received_ms: int) -> int:
        """Append an input that says nothing: what waits for the next record then goes on."""
        return await self._append(Inbound(received_ms=received_ms))

    async def _append(self, message: Inbound) -> int:
        try:
            return await self._gateway.append(InboundPack(inputs=[message]).SerializeToString())
        except LogError as error:
            raise Unavailable(
                "UNAVAILABLE", "the log did not confirm the write: send it again"
            ) from error
