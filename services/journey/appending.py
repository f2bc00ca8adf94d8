"""Appends to the inbound log for journey: an unsure outcome is one to try again."""

from __future__ import annotations

from collections.abc import Callable

from coterie.log.v1 import inbound_pb2
from services.kit.errors import Unavailable
from services.kit.log.batching import GroupCommit
from services.kit.log.port import LogError


class Appender:
    """The inbound log as publishing needs it; `now_ms` stamps what is appended."""

    def __init__(
        self, commit: GroupCommit, now_ms: Callable[[], int], traceparent: Callable[[], str]
    ) -> None:
        self._commit = commit
        self._now_ms = now_ms
        self._traceparent = traceparent

    async def append(self, one: inbound_pb2.Inbound) -> int:
        """Return the position of the input once it is on disk; raises Unavailable where unsure."""
        one.received_ms = self._now_ms()
        one.traceparent = self._traceparent()
        pack = inbound_pb2.InboundPack(inputs=[one])
        try:
            return await self._commit.append(pack.SerializeToString(deterministic=True))
        except LogError as error:
            raise Unavailable(
                "UNAVAILABLE", "the log did not confirm the write: send the same request again"
            ) from error
