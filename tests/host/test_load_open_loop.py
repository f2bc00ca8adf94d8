"""The open loop: what stalls is charged for everything that was due, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from services.host.load import driving
from services.host.load.driving import Calls, Driver, Timeline, batch_times
from services.host.load.maker import Batches
from services.host.load.mix_file import load_mix
from services.host.load.options import LoadOptions
from services.host.load.probing import Prober
from services.host.load.record import INGEST, LATE, VISIBLE, WATCHED, Recorder
from services.host.load.requests import Requests
from services.host.load.schedule import SECOND_US
from services.host.load.wires import Wires
from services.kit.clock import SystemClock

OPTIONS = LoadOptions(rate=1000, batch=10, duration_s=0.2, warmup_s=0, probes=100, reads=0)
Answer = Callable[[], Awaitable[profile_pb.IngestBatchResponse]]


class Service:
    """Stands for the channels; answers as the test says."""

    def __init__(self, answer: Answer, *, member: bool = True) -> None:
        self._answer = answer
        self._member = member

    def ingest(self) -> Any:
        return self.probe

    async def probe(self, _request: bytes, **_options: float) -> Any:
        return await self._answer()

    async def see(self, _request: object, **_options: float) -> Any:
        answer = segmentation_pb.GetMembershipResponse()
        answer.membership.member = self._member
        return answer


class Ready:
    """Batches without end."""

    async def next(self) -> bytes:
        return b""


def _run(service: Service, end: Callable[[Calls], Awaitable[None]]) -> Recorder:
    recorder = Recorder(round(OPTIONS.duration_s * SECOND_US))

    async def run() -> None:
        clock = SystemClock()
        timeline, calls = Timeline(clock, clock.monotonic_us()), Calls(recorder)
        requests = Requests(load_mix(None), 1, "1", 10, 1)
        parts = (OPTIONS, requests, cast("Wires", service), recorder, timeline, calls)
        prober = Prober(*parts)
        await asyncio.gather(Driver(*parts).ingest(cast("Batches", Ready())), prober.probe())
        await end(calls)
        await prober.settle(0)
        assert calls.failure is None
        assert calls.outstanding == 0

    asyncio.run(run())
    return recorder


def test_a_stall_is_charged_to_everything_that_was_due_in_it() -> None:
    gate = asyncio.Event()

    async def stalled() -> profile_pb.IngestBatchResponse:
        await gate.wait()
        return profile_pb.IngestBatchResponse(accepted_count=10, revision="1")

    async def end(calls: Calls) -> None:
        gate.set()
        await calls.drain(5)

    track = _run(Service(stalled), end).tracks[INGEST]
    due = list(batch_times(OPTIONS))
    assert (track.calls, track.answered, track.accepted) == (len(due), len(due), 10 * len(due))
    assert track.latency.total >= sum(due[-1] - each for each in due)
    assert track.in_time <= 10


def test_what_is_never_answered_is_counted_as_that() -> None:
    async def silent() -> profile_pb.IngestBatchResponse:
        await asyncio.Event().wait()
        raise AssertionError

    recorder = _run(Service(silent), lambda calls: calls.drain(0.01))
    track = recorder.tracks[INGEST]
    assert dict(track.errors) == {"UNANSWERED": track.calls}
    assert recorder.tracks[LATE].answered == track.calls


def test_more_than_can_wait_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "MOST_OUTSTANDING", 3)

    async def silent() -> profile_pb.IngestBatchResponse:
        await asyncio.Event().wait()
        raise AssertionError

    tracks = _run(Service(silent), lambda calls: calls.drain(0.01)).tracks
    errors = tracks[INGEST].errors + tracks[VISIBLE].errors
    assert errors["UNANSWERED"] == 3
    assert errors["NOT_SENT"] == tracks[INGEST].calls + tracks[VISIBLE].calls - 3


def test_an_error_is_counted_by_its_status() -> None:
    async def full() -> profile_pb.IngestBatchResponse:
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, none, none, "full", "")

    tracks = _run(Service(full), lambda calls: calls.drain(5)).tracks
    for name in (INGEST, VISIBLE):
        assert dict(tracks[name].errors) == {"RESOURCE_EXHAUSTED": tracks[name].calls}


def test_a_probe_that_is_accepted_and_not_found_is_a_mistake_of_the_deployment() -> None:
    async def taken() -> profile_pb.IngestBatchResponse:
        return profile_pb.IngestBatchResponse(accepted_count=1, revision="1")

    tracks = _run(Service(taken, member=False), lambda calls: calls.drain(5)).tracks
    assert dict(tracks[VISIBLE].errors) == {"NOT_A_MEMBER": tracks[VISIBLE].calls}
    assert dict(tracks[WATCHED].errors) == {"NOT_SEEN": tracks[WATCHED].calls}
