"""Appends to the inbound log for intake: in order, and an unsure outcome is one to try again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.kit.errors import Unavailable
from services.kit.log.batching import GroupCommit
from services.kit.log.port import LogError


class InboundAppender:
    """The inbound log as intake needs it."""

    def __init__(self, commit: GroupCommit) -> None:
        self._commit = commit

    async def append(self, payloads: Sequence[bytes]) -> int:
        """Return the sequence of the last record once all are on disk.

        Raises Unavailable where that is not sure: the same ids again have no further effect.
        """
        try:
            # Each as a task, also a single one, so that batches queue in the order of the calls.
            seqs = await asyncio.gather(*(self._commit.append(payload) for payload in payloads))
        except LogError as error:
            raise Unavailable(
                "UNAVAILABLE",
                "the log did not answer; send the same inputs with the same ids again",
            ) from error
        return seqs[-1]
