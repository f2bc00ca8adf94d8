"""The sender goes on when the stream breaks; what is accepted is a beginning of the data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.rpc.v1 import error_pb2, error_reason_pb2
from coterie.type.v1 import event_pb2
from services.host.replay.batches import BATCH_BYTES, Batch, batched
from services.host.replay.sender import IN_FLIGHT, Sender, SendError
from services.host.replay.wire import INPUT_EVENT, Input, field
from services.kit.clock import ManualClock, SystemClock


class Gateway:
    """Takes batches as the script says: it answers so many, then the call breaks with the code."""

    def __init__(self, script: Sequence[tuple[int, grpc.StatusCode]]) -> None:
        self._script = list(script)
        self.taken: list[str] = []

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        ingest = grpc.stream_stream_rpc_method_handler(
            self._ingest,
            request_deserializer=pb.IngestRequest.FromString,
            response_serializer=pb.IngestResponse.SerializeToString,
        )
        service = "coterie.profile.v1.ProfileService"
        return grpc.method_handlers_generic_handler(service, {"Ingest": ingest})

    async def _ingest(
        self, request_iterator: AsyncIterator[pb.IngestRequest], context: Any
    ) -> AsyncIterator[pb.IngestResponse]:
        answers, code = self._script.pop(0) if self._script else (1 << 30, grpc.StatusCode.OK)
        async for request in request_iterator:
            if not answers:
                # Taken, and the answer is lost.
                self._take(request)
                await context.abort(code, "the gateway says so")
            answers -= 1
            self._take(request)
            refused = [
                pb.RefusedInput(
                    input_id=one.event.event_id,
                    error=error_pb2.Error(
                        reason=error_reason_pb2.ERROR_REASON_INVALID_FIELD, message="odd"
                    ),
                )
                for one in request.inputs
                if one.event.event_id.endswith("77")
            ]
            accepted = len(request.inputs) - len(refused)
            yield pb.IngestResponse(
                revision=str(len(self.taken)), accepted_count=accepted, refused=refused
            )

    def _take(self, request: pb.IngestRequest) -> None:
        self.taken += [one.event.event_id for one in request.inputs]


def inputs(count: int) -> Iterator[Input]:
    for number in range(count):
        event = event_pb2.Event(event_id=f"e{number:05}")
        yield Input(1_767_261_600_000 + number, field(INPUT_EVENT, event.SerializeToString()))


def send(
    gateway: Gateway, batches: Iterator[Batch], clock: Any = None
) -> tuple[Sender, list[Batch]]:
    answered: list[Batch] = []

    async def run() -> Sender:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((gateway.handlers(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        sender = Sender(f"127.0.0.1:{port}", clock or SystemClock(), answered.append)
        try:
            await sender.send(batches)
        finally:
            await server.stop(0)
        return sender

    return asyncio.run(run()), answered


def test_every_input_is_sent_once_and_in_order_where_nothing_breaks() -> None:
    gateway = Gateway([])
    sender, answered = send(gateway, batched(inputs(20_500)))
    assert gateway.taken == [f"e{number:05}" for number in range(20_500)]
    assert [batch.count for batch in answered] == [1000] * 20 + [500]
    assert (sender.sent.inputs, sender.sent.again) == (20_500, 0)
    assert sender.sent.accepted == 20_500 - 205
    assert sender.sent.refused == {"INVALID_FIELD: odd": 205}
    (shown,) = sender.sent.refused_ids.values()
    assert shown == ["e00077", "e00177", "e00277", "e00377", "e00477"]


def test_what_was_not_answered_is_sent_again_with_the_same_ids() -> None:
    broken = [
        (3, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (0, grpc.StatusCode.UNAVAILABLE),
        (5, grpc.StatusCode.UNAVAILABLE),
    ]
    gateway = Gateway(broken)
    sender, answered = send(gateway, batched(inputs(15_000)))
    first_seen = list(dict.fromkeys(gateway.taken))
    assert first_seen == [f"e{number:05}" for number in range(15_000)]
    assert len(answered) == 15
    assert sender.sent.inputs == 15_000
    assert 3 <= sender.sent.again <= 3 * IN_FLIGHT


def test_any_other_status_ends_the_replay() -> None:
    # gRPC may hide the first status behind the write that met it; the second try shows it.
    gateway = Gateway(
        [(2, grpc.StatusCode.INVALID_ARGUMENT), (0, grpc.StatusCode.INVALID_ARGUMENT)]
    )
    with pytest.raises(SendError, match="INVALID_ARGUMENT: the gateway says so"):
        send(gateway, batched(inputs(9_000)))


def test_patience_ends_where_nothing_is_accepted() -> None:
    class Hasty(ManualClock):
        def monotonic_ms(self) -> int:
            self.move_to(self.now_ms() + 50_000)
            return self.now_ms()

    gateway = Gateway([(0, grpc.StatusCode.UNAVAILABLE)] * 9)
    with pytest.raises(SendError, match="UNAVAILABLE for 120 s"):
        send(gateway, batched(inputs(1_000)), Hasty())


def test_what_the_source_raises_reaches_the_caller_after_what_came_before() -> None:
    def breaking() -> Iterator[Input]:
        yield from inputs(2_500)
        raise ValueError("the disk is gone")

    gateway = Gateway([])
    with pytest.raises(ValueError, match="the disk is gone"):
        send(gateway, batched(breaking()))
    assert len(gateway.taken) == 2_000


def test_a_batch_is_bounded_in_bytes_too() -> None:
    large = b"x" * (BATCH_BYTES // 3)
    found = list(batched(Input(0, field(INPUT_EVENT, field(1, large))) for _ in range(7)))
    assert [batch.count for batch in found] == [2, 2, 2, 1]
    assert [batch.first for batch in found] == [0, 2, 4, 6]


def test_inputs_carry_their_time_as_the_time_of_receipt() -> None:
    (batch,) = batched(inputs(3))
    request = pb.IngestRequest.FromString(batch.data)
    times = [one.received_time.ToMilliseconds() for one in request.inputs]
    assert times == [1_767_261_600_000 + number for number in range(3)]
    assert batch.last_ms == times[-1]
