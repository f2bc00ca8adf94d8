"""A service of one stage, for tests of the host: it copies the inbound log to its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc.aio

from coterie.rpc.v1 import clock_service_pb2 as pb
from coterie.rpc.v1 import clock_service_pb2_grpc as rpc
from services.kit.log.port import Entry, Record
from services.kit.log_stage import LogStage
from services.kit.module import Context
from services.kit.rpc.interceptors import Call
from services.kit.stage import StageState


class _Copy:
    def __init__(self) -> None:
        self.broken = False

    def restore(self) -> int:
        if self.broken:
            raise RuntimeError("the snapshot is from the future")
        return 0

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        return {0: [Entry(record.payload, record.seq) for record in records]}

    def save(self, position: int) -> None:
        pass

    def dead_letter(self, record: Record, error: str) -> Mapping[int, Sequence[Entry]]:
        return {0: [Entry(error.encode(), record.seq)]}


class TinyModule(rpc.ClockServiceServicer):
    """Serves Tick: appends to inbound and answers with the position."""

    name = "identity"
    service_names = ("coterie.rpc.v1.ClockService",)

    def __init__(self, context: Context) -> None:
        self.context = context
        self.events: list[str] = []
        self.copy = _Copy()
        self._inbound = context.logs("inbound")
        self.stages = (LogStage("copy", 0, self._inbound, [context.logs("copies")], self.copy),)

    def register(self, server: grpc.aio.Server) -> None:
        rpc.add_ClockServiceServicer_to_server(self, server)

    async def start(self) -> None:
        self.events.append("start")

    async def stop(self) -> None:
        self.events.append("stop")

    def progress(self) -> Sequence[StageState]:
        stage = self.stages[0]
        return [
            StageState("copy", 0, stage.position, stage.tail, stage.position, 7_000, None, 0, 0)
        ]

    async def Tick(self, _request: pb.TickRequest, _context: Call) -> pb.TickResponse:  # noqa: N802
        return pb.TickResponse(revision=str(self._inbound.append([Entry(b"tick")])))
