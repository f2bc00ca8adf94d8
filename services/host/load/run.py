"""One run from the first look at the deployment to what was measured."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from services.host.client import Client
from services.host.load.driving import Calls, Driver, Timeline
from services.host.load.maker import Batches, Order, made_ahead
from services.host.load.mix_file import load_mix
from services.host.load.options import LoadOptions
from services.host.load.outcome import Outcome, load_average
from services.host.load.preparing import SERVICES, prepare
from services.host.load.probing import Prober
from services.host.load.record import Recorder
from services.host.load.requests import Requests
from services.host.load.schedule import SECOND_US
from services.host.load.wires import Wires
from services.kit.clock import SteadyClock

START_US = 100_000
"""Between the last preparation and the first arrival."""
READY_S = 5.0
"""So much of the load is made before it begins."""
STOP_DRAIN_S = 2.0
"""How long an interrupted run waits for what is on its way."""


class StoppedEarly(Exception):
    """The run was ended before anything was measured."""


class Display(Protocol):
    """Shows how a run goes."""

    def note(self, text: str) -> None:
        """Show what is done now."""

    def second(self, number: int, recorder: Recorder, outstanding: int) -> None:
        """Show the second `number` of the measured time, negative in the warm-up."""


class LoadRun:
    """Drives one run. `stop` ends it early: with what was measured, or with StoppedEarly."""

    def __init__(
        self,
        options: LoadOptions,
        mix_file: Path | None,
        addresses: Mapping[str, str],
        clock: SteadyClock,
        display: Display,
    ) -> None:
        self._options = options
        self._mix_file = mix_file
        self._addresses = {name: addresses[name] for name in SERVICES}
        self._clock = clock
        self._display = display
        mix = load_mix(mix_file)
        self._requests = Requests(
            mix, options.seed, options.run, options.profiles, options.audiences
        )
        self._recorder = Recorder(round(options.duration_s * SECOND_US))
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End the run."""
        self._stop.set()

    async def run(self) -> Outcome:
        """Return what was measured; raises what preparing raises, MakerError and StoppedEarly."""
        options, before = self._options, load_average()
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(Client(self._addresses))
            known = await self._or_stopped(
                prepare(client, self._requests, self._addresses, self._display.note)
            )
            self._display.note("making events ahead")
            a_second = options.rate / options.batch
            ahead = made_ahead(self._order(), math.ceil(READY_S * a_second))
            batches = await self._or_stopped(opened.enter_async_context(ahead))
            wires = await opened.enter_async_context(Wires(self._addresses, options.connections))
            begun_ms = self._clock.now_ms()
            await self._drive(wires, batches, known)
        self._check_measured()
        return Outcome(
            options=options,
            mix=self._requests.mix.name,
            requests=fingerprint(self._requests, options),
            addresses=self._addresses,
            begun=datetime.fromtimestamp(begun_ms // 1000, UTC).isoformat(),
            measured_s=self._recorder.until_us / SECOND_US,
            interrupted=self._stop.is_set(),
            load_before=before,
            load_after=load_average(),
            tracks=self._recorder.tracks,
        )

    async def _drive(self, wires: Wires, batches: Batches, known: list[int]) -> None:
        options, recorder = self._options, self._recorder
        timeline = Timeline(self._clock, self._clock.monotonic_us(), self._stop)
        calls = Calls(recorder)
        parts = (options, self._requests, wires, recorder, timeline, calls)
        driver, prober = Driver(*parts), Prober(*parts)
        self._display.note("waiting for the watch of transitions")
        async with prober.watching():
            self._display.note("")
            timeline.zero_us = (
                self._clock.monotonic_us() + round(options.warmup_s * SECOND_US) + START_US
            )
            showing = asyncio.create_task(self._show(timeline, calls), name="load-display")
            sending = [
                asyncio.create_task(each, name="load-sending")
                for each in (driver.ingest(batches), driver.read(known), prober.probe())
            ]
            try:
                await asyncio.gather(*sending)
                await timeline.reach(recorder.until_us)
                self._cut(timeline)
                drain_s = STOP_DRAIN_S if self._stop.is_set() else options.timeout_s
                await calls.drain(drain_s)
                await prober.settle(drain_s)
            finally:
                for task in (*sending, showing):
                    task.cancel()
                await asyncio.wait((*sending, showing))
        if not showing.cancelled():
            showing.result()
        if calls.failure is not None:
            raise calls.failure

    def _cut(self, timeline: Timeline) -> None:
        """Let the measured time end now where the run was stopped."""
        if self._stop.is_set():
            self._recorder.until_us = min(self._recorder.until_us, timeline.now_us())

    def _check_measured(self) -> None:
        if self._recorder.until_us <= 0:
            raise StoppedEarly("stopped before anything was measured")

    async def _show(self, timeline: Timeline, calls: Calls) -> None:
        number = -math.ceil(self._options.warmup_s)
        last = math.ceil(self._options.duration_s)
        while number < last and await timeline.reach((number + 1) * SECOND_US):
            self._display.second(number, self._recorder, calls.outstanding)
            number += 1

    async def _or_stopped(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what the work returns; raises StoppedEarly when the run is stopped first."""
        tasks = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                raise StoppedEarly("stopped before anything was measured")
            return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _order(self) -> Order:
        options = self._options
        expected = options.rate / options.batch * options.total_s
        return Order(
            mix_file=self._mix_file,
            seed=options.seed,
            run=options.run,
            profiles=options.profiles,
            audiences=options.audiences,
            size=options.batch,
            # Arrivals are random: their number passes six standard deviations practically never.
            count=math.ceil(expected + 6 * math.sqrt(expected)) + 10,
        )


def fingerprint(requests: Requests, options: LoadOptions) -> str:
    """Return what is the same for runs of the same requests, whatever they are called."""
    plain = Requests(requests.mix, requests.seed, "", requests.profiles, requests.audiences)
    parts = [
        plain.mix.schema().SerializeToString(deterministic=True),
        plain.people(0, 1),
        plain.batch(0, options.batch),
        *(plain.mix.rule(number).encode() for number in range(plain.audiences)),
        repr((options.rate, options.reads, options.read_batch, options.probes)).encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
