"""One service as it runs: its stages on threads, its own tasks, its server."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from services.kit.module import Module
from services.kit.rpc.server import Server
from services.kit.runner import StageRunner
from services.kit.stage import Stage

STAGE_STOP_S = 10.0
"""How long a stage may take to finish its step; a step is a fraction of a second."""
RECOVERY_LOOK_S = 0.05
CATCH_UP_LOOK_S = 0.01
LAG_WORTH_SAYING = 100
"""Records: some seconds of work at most are behind fewer."""
HEALTH_S = 0.5
"""How long health may say the former state."""

log = structlog.get_logger("host")


class StartError(Exception):
    """The process cannot serve: which part, and why."""


class Running:
    """Starts and stops one built service. `start` may be called once."""

    def __init__(self, module: Module, server: Server, drain_s: float) -> None:
        self.module = module
        self._server = server
        self._drain_s = drain_s
        self._recovered = [asyncio.Event() for _ in module.stages]
        loop = asyncio.get_running_loop()
        self._runners = [
            _runner(stage, event, loop)
            for stage, event in zip(module.stages, self._recovered, strict=True)
        ]
        self._watch: asyncio.Task[None] | None = None
        self._started = False

    @property
    def failed(self) -> str | None:
        """What a stage fails with now, None while all go well."""
        return next((runner.failed for runner in self._runners if runner.failed), None)

    async def start(self) -> None:
        """Recover the stages, let them catch up, then serve.

        Who is served before would read a past state as if it were now: an audience that is not
        there yet, or one half full. Raises StartError where a stage cannot recover.
        """
        self.module.register(self._server.grpc)
        self._server.serve_progress(self.module.name, self.module.progress)
        for runner in self._runners:
            runner.start()
        for stage, event, runner in zip(
            self.module.stages, self._recovered, self._runners, strict=True
        ):
            await self._recovery(stage, event, runner)
        for stage, runner in zip(self.module.stages, self._runners, strict=True):
            await self._caught_up(stage, runner)
        await self.module.start()
        self._started = True
        await self._server.start(self.module.service_names)
        await self._server.set_serving(serving=True)
        self._watch = asyncio.create_task(self._watch_health(), name=f"{self.module.name}-health")

    async def stop(self) -> None:
        """Drain the server, then end the tasks and the stages; also undoes half a start."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        try:
            await self._server.stop(self._drain_s)
            if self._started:
                await self.module.stop()
        finally:
            # Whatever went wrong before: the files that a stage reads are closed next.
            await self._stop_stages()

    async def _stop_stages(self) -> None:
        stops = [asyncio.to_thread(runner.stop, STAGE_STOP_S) for runner in self._runners]
        for stage, ended in zip(self.module.stages, await asyncio.gather(*stops), strict=True):
            if not ended:
                log.error("stage_not_stopped", stage=stage.name, partition=stage.partition)

    async def _recovery(self, stage: Stage, recovered: asyncio.Event, runner: StageRunner) -> None:
        while not recovered.is_set():
            if runner.failed:
                raise StartError(f"stage {stage.name}-{stage.partition}: {runner.failed}")
            with suppress(TimeoutError):
                async with asyncio.timeout(RECOVERY_LOOK_S):
                    await recovered.wait()

    async def _caught_up(self, stage: Stage, runner: StageRunner) -> None:
        """Return once the stage holds what its log held at the start, or fails: health says so."""
        tail = await asyncio.to_thread(lambda: stage.tail)
        if tail - stage.position >= LAG_WORTH_SAYING:
            log.info("catching_up", stage=stage.name, position=stage.position, tail=tail)
        while stage.position < tail and not runner.failed:  # noqa: ASYNC110  a thread tells nobody
            await asyncio.sleep(CATCH_UP_LOOK_S)

    async def _watch_health(self) -> None:
        serving = True
        while True:
            await asyncio.sleep(HEALTH_S)
            well = self.failed is None
            if well != serving:
                await self._server.set_serving(serving=well)
                serving = well


def _runner(stage: Stage, recovered: asyncio.Event, loop: asyncio.AbstractEventLoop) -> StageRunner:
    """Return the stage's runner; its first completed step, the recovery, sets `recovered`."""

    def on_step() -> None:
        if not recovered.is_set() and not loop.is_closed():
            loop.call_soon_threadsafe(recovered.set)

    return StageRunner(stage, on_step)
