"""ProgressService: how far the stages of one service have come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from coterie.rpc.v1 import progress_service_pb2 as pb
from coterie.rpc.v1 import progress_service_pb2_grpc as rpc
from services.kit.rpc.interceptors import Call
from services.kit.rpc.times import timestamp
from services.kit.stage import StageState


class ProgressApi(rpc.ProgressServiceServicer):
    """Answers from what the stages have in memory, and from where their logs end now.

    A driver of a virtual clock decides by the difference that all is done, so it may not be stale.
    """

    def __init__(self, service: str, progress: Callable[[], Sequence[StageState]]) -> None:
        self._service = service
        self._progress = progress

    async def GetProgress(  # noqa: N802 - gRPC names its methods
        self, _request: pb.GetProgressRequest, _context: Call
    ) -> pb.GetProgressResponse:
        """Return the state of each stage."""
        states = await asyncio.to_thread(self._progress)
        stages = [_render(state) for state in states]
        return pb.GetProgressResponse(service=self._service, stages=stages)


def _render(state: StageState) -> pb.StageProgress:
    return pb.StageProgress(
        stage=state.stage,
        partition=state.partition,
        position=state.position,
        tail=state.tail,
        inbound_position=state.inbound_position,
        log_time=timestamp(state.log_time_ms) if state.log_time_ms else None,
        next_due_time=None if state.next_due_ms is None else timestamp(state.next_due_ms),
        in_flight=state.in_flight,
        dead_letters=state.dead_letters,
    )
