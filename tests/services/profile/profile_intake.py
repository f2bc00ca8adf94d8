"""A gateway on a log in memory, for the tests of intake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from profile_inputs import T0

from coterie.log.v1 import inbound_pb2
from coterie.profile.v1 import columns_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from segcore.rule import Kind
from services.kit.clock import Clock, ManualClock
from services.profile.backlog import Backlog
from services.profile.checks import DeclaredKinds
from services.profile.intake import Gateway, Receipt
from services.profile.stamps import Stamps


@dataclass
class Intake:
    """A gateway with a clock that stands, and a log that is a list."""

    virtual: bool = False
    now_ms: int = T0
    applied_seq: int = 0
    records: list[inbound_pb2.InboundPack] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    declared: DeclaredKinds = field(
        default_factory=lambda: DeclaredKinds({}, {"total": Kind.NUMBER})
    )

    def __post_init__(self) -> None:
        self.clock = ManualClock(self.now_ms)
        clock: Clock = self.clock
        self.gateway = Gateway(
            self.append,
            Stamps(clock, self.clock if self.virtual else None),
            Backlog(lambda: self.applied_seq, 10, 0),
            lambda: self.declared,
            lambda: "trace",
        )

    async def append(self, payloads: Sequence[bytes]) -> int:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.records += [inbound_pb2.InboundPack.FromString(one) for one in payloads]
        return len(self.records)

    def take(self, *inputs: pb.IngestInput) -> Receipt:
        async def taken() -> Receipt:
            return await self.gateway.take(inputs)

        return asyncio.run(taken())

    def take_columns(self, columns: columns_pb2.EventColumns) -> Receipt:
        async def taken() -> Receipt:
            return await self.gateway.take_columns(columns)

        return asyncio.run(taken())

    def inbound(self) -> list[inbound_pb2.Inbound]:
        return [one for pack in self.records for one in pack.inputs]

    def stamps(self) -> list[int]:
        """Return the stamps in the log, those of ticks as negative numbers, both from T0."""
        return [
            -(one.received_ms - T0) if one.HasField("tick") else one.received_ms - T0
            for one in self.inbound()
        ]
