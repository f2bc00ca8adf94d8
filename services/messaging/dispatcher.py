"""Hands due messages to their providers: make, claim, call, settle.

Runs on the event loop beside the stages. Every message is a task of its own, and each provider has
no more of them than it takes; what one of them waits for stops no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import structlog

from services.kit.failpoints import failpoint
from services.kit.stage import describe
from services.kit.telemetry import Tracing
from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.drafts import Draft, made
from services.messaging.ledger import Claim, Due, Ledger
from services.messaging.providers.port import Provider
from services.messaging.rendering.renderer import Renderer, RenderFailed

PATIENCE_S = 5.0
"""How long to wait without being woken: a look more often than needed costs one query."""
PAUSE_S = 1.0
"""How long a message rests after a failure of ours, such as of the database."""
FINISH_S = 5.0
"""How long a stop waits for providers that are being called."""
UNKNOWN_LANE_SLOTS = 4
"""For messages to lanes without a provider: they only come to their end."""

log = structlog.get_logger("messaging")


class Dispatcher:
    """Sends what is due; `settled` hears when something has come to its end."""

    def __init__(
        self,
        ledger: Ledger,
        renderer: Renderer,
        providers: Mapping[Lane, Provider],
        tracing: Tracing,
        settled: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._renderer = renderer
        self._providers = providers
        self._tracing = tracing
        self._settled = settled
        self._woken = asyncio.Event()
        self._in_hand: dict[str, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look again at what is due; call it on the event loop."""
        self._woken.set()

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Send until cancelled; what was begun then may still end.

        `is_ready` tells whether the tables know by now all that was sent before.
        """
        try:
            await self._recover()
            while True:
                self._woken.clear()
                if is_ready():
                    await self._turn()
                try:
                    await asyncio.wait_for(self._woken.wait(), PATIENCE_S)
                except TimeoutError:
                    continue
        finally:
            await self._finish()

    async def send_due(self) -> int:
        """Begin what is due and has a free slot; return how many."""
        free = {lane: self._slots(lane) for lane in Lane}
        lanes = [lane for lane, slots in free.items() if slots > 0]
        limit = sum(free[lane] for lane in lanes)
        if not lanes:
            return 0
        begun = 0
        in_hand = frozenset(self._in_hand)
        for due in await asyncio.to_thread(self._ledger.due, lanes, limit, in_hand):
            if free[due.lane] > 0:
                free[due.lane] -= 1
                begun += 1
                self._in_hand[due.message_id] = due.lane
                task = asyncio.create_task(self._run(due), name=f"send-{due.message_id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return begun

    async def idle(self) -> None:
        """Return once nothing that was begun is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def recover(self) -> None:
        """Look after what a former process left claimed."""
        count = await asyncio.to_thread(self._ledger.recover, self._is_idempotent)
        if count:
            log.warning("sends_recovered", count=count)
            self._settled()

    async def _recover(self) -> None:
        while True:
            try:
                await self.recover()
            except Exception as error:  # noqa: BLE001 - the root of a task: it logs and tries again
                _note("recovery_failed", error)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    async def _turn(self) -> None:
        try:
            await self.send_due()
        except Exception as error:  # noqa: BLE001 - the root of a task: it logs and tries again
            _note("dispatch_failed", error)
            await asyncio.sleep(PAUSE_S)

    async def _run(self, due: Due) -> None:
        try:
            with self._span(due):
                await self._send(due)
        except Exception as error:  # noqa: BLE001 - the root of a task: it logs, and it is tried again
            _note("send_failed", error)
            await asyncio.sleep(PAUSE_S)
        finally:
            del self._in_hand[due.message_id]
            self._woken.set()

    def _span(self, due: Due) -> AbstractContextManager[object]:
        """Return the span: in the intent's trace, after a wait in one that links to it."""
        if not due.traceparent:
            return nullcontext()
        if due.waited:
            return self._tracing.continuation("messaging.send", due.traceparent)
        return self._tracing.span("messaging.send", due.traceparent)

    async def _send(self, due: Due) -> None:
        draft = await asyncio.to_thread(self._ledger.draft, due.message_id)
        if draft is None:
            return
        content = await self._content(due, draft)
        if content is None:
            return
        self._in_hand[due.message_id] = draft.lane
        provider = self._providers.get(draft.lane)
        claim = await asyncio.to_thread(self._ledger.claim, due.message_id, draft, content)
        if claim is None:
            # It has come to its end, or is made again for another address.
            self._settled()
            return
        failpoint("messaging.claimed")
        answer = await self._call(provider, claim)
        failpoint("messaging.called")
        await self._settle(claim, answer, idempotent=self._is_idempotent(draft.lane))
        log.debug(
            "message_handed_over",
            message=due.message_id,
            lane=draft.lane.name.lower(),
            outcome=str(answer.outcome),
            attempt=claim.attempt,
        )
        self._settled()

    async def _content(self, due: Due, draft: Draft) -> bytes | None:
        """Return what the message says, None where it cannot be made and has come to its end."""
        if draft.content is not None:
            return draft.content
        try:
            rendered = await asyncio.to_thread(self._renderer.render, draft.parts, draft.data)
        except RenderFailed as failure:
            log.warning("template_failed", message=due.message_id, part=failure.part)
            rendered = {}
        if not rendered:
            # It cannot be made, or there is no such template.
            traceparent = self._tracing.current_traceparent()
            await asyncio.to_thread(
                self._ledger.fail, due.message_id, "template_failed", traceparent
            )
            self._settled()
            return None
        return made(rendered)

    @staticmethod
    async def _call(provider: Provider | None, claim: Claim) -> Answer:
        if provider is None:
            return Answer(Outcome.UNREACHABLE, "no_provider", is_final=True)
        try:
            return await provider.send(claim.letter)
        except Exception as error:  # noqa: BLE001 - whatever it was: nobody knows whether it was sent
            _note("provider_failed", error)
            return Answer(Outcome.NO_ANSWER, type(error).__name__)

    async def _settle(self, claim: Claim, answer: Answer, *, idempotent: bool) -> None:
        """Write the answer down, and do not give up: it is known nowhere else."""
        traceparent = self._tracing.current_traceparent()
        while True:
            try:
                await asyncio.to_thread(
                    self._ledger.settle,
                    claim,
                    answer,
                    idempotent=idempotent,
                    traceparent=traceparent,
                )
            except Exception as error:  # noqa: BLE001 - whatever it was: it is tried again
                _note("settle_failed", error)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    def _is_idempotent(self, lane: Lane) -> bool:
        provider = self._providers.get(lane)
        return provider is not None and provider.idempotent

    def _slots(self, lane: Lane) -> int:
        provider = self._providers.get(lane)
        slots = provider.concurrency if provider is not None else UNKNOWN_LANE_SLOTS
        return slots - sum(each is lane for each in self._in_hand.values())

    async def _finish(self) -> None:
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=FINISH_S)
        for task in unfinished:
            # What it had claimed is found so when messaging starts again.
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


def _note(event: str, error: Exception) -> None:
    log.error(event, error=describe(error))
