"""Probes of freshness: an event that makes a new person a member, and two who look for it.

One reads the membership at the revision of the answer, the other watches the transitions. Both
spans begin when the event's acceptance was heard; an entry that came before it counts as 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc.aio

from coterie.rpc.v1 import consistency_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from coterie.type.v1 import identity_pb2
from services.host.load.driving import UNANSWERED, Calls, Timeline, probe_times
from services.host.load.mix import PROBE_AUDIENCE
from services.host.load.options import LoadOptions
from services.host.load.record import VISIBLE, WATCHED, Recorder
from services.host.load.requests import PROBE_ARRIVALS, Requests
from services.host.load.wires import Wires
from services.kit.names import audience_name

NOT_A_MEMBER = "NOT_A_MEMBER"
"""A read at the revision of the event did not see the membership: a mistake of the deployment."""
NOT_SEEN = "NOT_SEEN"
HELLO_PAUSE_S = 0.2
HELLO_S = 20.0


class ProbeError(Exception):
    """The way of a probe is broken: nothing can be measured on it."""


class Prober:
    """Sends probes, and looks for them."""

    def __init__(  # noqa: PLR0913, PLR0917  what a run is made of
        self,
        options: LoadOptions,
        requests: Requests,
        wires: Wires,
        recorder: Recorder,
        timeline: Timeline,
        calls: Calls,
    ) -> None:
        self._options = options
        self._requests = requests
        self._wires = wires
        self._recorder = recorder
        self._timeline = timeline
        self._calls = calls
        self._accepted: dict[str, tuple[int, int]] = {}
        self._entered: set[str] = set()
        self._hello = asyncio.Event()
        self._all_seen = asyncio.Event()
        self._all_seen.set()
        self.broken = ""

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the audience of the probes as long as the block; begins when the watch works.

        Raises ProbeError where the entry of an event is not seen.
        """
        if not self._options.probes:
            await self._wires.probe(self._requests.hello(0), timeout=self._options.timeout_s)
            yield
            return
        watch = asyncio.create_task(self._watch(), name="load-watch")
        try:
            await self._greet(watch)
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def probe(self) -> None:
        """Send the probes at their instants."""
        for number, due_us in enumerate(probe_times(self._options, PROBE_ARRIVALS)):
            if not await self._timeline.reach(due_us):
                return
            self._recorder.asked(VISIBLE, due_us)
            self._calls.begin(VISIBLE, due_us, self._probe(number, due_us))

    async def settle(self, timeout_s: float) -> None:
        """Wait for entries that the watch has not seen yet; what is missing then is counted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._all_seen.wait()
        for due_us, _ in self._accepted.values():
            self._recorder.failed(WATCHED, due_us, self.broken or NOT_SEEN)
        self._accepted.clear()

    async def _probe(self, number: int, due_us: int) -> None:
        timeout_s = self._options.timeout_s
        try:
            answer = await self._wires.probe(self._requests.probe(number), timeout=timeout_s)
            accepted_us = self._timeline.now_us()
            self._remember(self._requests.probe_id(number), due_us, accepted_us)
            seen = await self._wires.see(self._question(number, answer.revision), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            self._recorder.failed(VISIBLE, due_us, error.code().name)
            return
        if seen.membership.member:
            self._recorder.took(VISIBLE, due_us, self._timeline.now_us() - accepted_us)
        else:
            self._recorder.failed(VISIBLE, due_us, NOT_A_MEMBER)

    def _question(self, number: int, revision: str) -> pb.GetMembershipRequest:
        return pb.GetMembershipRequest(
            audience=audience_name(PROBE_AUDIENCE),
            who=identity_pb2.Who(identity=self._requests.newcomer(f"probe-{number}")),
            consistency=consistency_pb2.Consistency(at_least=revision),
        )

    def _remember(self, event_id: str, due_us: int, accepted_us: int) -> None:
        self._recorder.asked(WATCHED, due_us)
        if event_id in self._entered:
            self._entered.remove(event_id)
            self._recorder.took(WATCHED, due_us, 0)
        else:
            self._accepted[event_id] = due_us, accepted_us
            self._all_seen.clear()

    async def _watch(self) -> None:
        names = [audience_name(PROBE_AUDIENCE)]
        try:
            stream: Any = self._wires.watch(pb.WatchTransitionsRequest(audiences=names))
            async for part in stream:
                now_us = self._timeline.now_us()
                for one in part.transitions:
                    if one.entered and one.cause_id.startswith(self._requests.name + "-"):
                        self._see(one.cause_id, now_us)
        except grpc.aio.AioRpcError as error:
            self.broken = error.code().name
        else:
            self.broken = UNANSWERED
        self._all_seen.set()

    def _see(self, event_id: str, now_us: int) -> None:
        if event_id.startswith(f"{self._requests.name}-hello-"):
            self._hello.set()
        elif event_id in self._accepted:
            due_us, accepted_us = self._accepted.pop(event_id)
            self._recorder.took(WATCHED, due_us, now_us - accepted_us)
            if not self._accepted:
                self._all_seen.set()
        else:
            self._entered.add(event_id)

    async def _greet(self, watch: asyncio.Task[None]) -> None:
        """Send events until the watch sees one: before, nobody knows whether it has begun."""
        for number in range(round(HELLO_S / HELLO_PAUSE_S)):
            if self._timeline.stop.is_set():
                return
            await self._wires.probe(self._requests.hello(number), timeout=self._options.timeout_s)
            try:
                async with asyncio.timeout(HELLO_PAUSE_S):
                    await self._hello.wait()
            except TimeoutError:
                if watch.done():
                    raise ProbeError(f"WatchTransitions ended with {self.broken}") from None
            else:
                return
        raise ProbeError(
            f"expected to see in WatchTransitions within {HELLO_S:g} s that somebody entered"
            f" {PROBE_AUDIENCE}, and saw nothing; is segmentation far behind?"
        )
