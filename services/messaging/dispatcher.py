"""Hands due messages to their providers: make, claim, call, settle.

Runs on the event loop beside the stages. Every message is a task of its own; what several of them
ask of the tables or the renderer at once is done at one go, and what one of them waits for stops no
other. No more messages are claimed for a provider and wait for its answer than it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress

import structlog

from services.kit.failpoints import failpoint
from services.kit.stage import describe
from services.kit.telemetry import Tracing
from services.messaging.batches import Batches
from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.drafts import Draft, made
from services.messaging.entries import Claim, Claiming, Failing, Settling
from services.messaging.ledger import Due, Ledger
from services.messaging.providers.port import Provider
from services.messaging.rendering.renderer import Renderer, RenderFailed

PATIENCE_S = 5.0
"""How long to wait without being woken: a look more often than needed costs one query."""
PAUSE_S = 1.0
"""How long a message rests after a failure of ours, such as of the database."""
FINISH_S = 5.0
"""How long a stop waits for providers that are being called."""
CANCEL_S = 1.0
"""How long a call that is cancelled may go on before it is cancelled again."""
UNKNOWN_LANE_SLOTS = 4
"""For messages to lanes without a provider: they only come to their end."""
AHEAD = 3
"""How many messages are in hand for each that a provider takes at once: some are being made, and
some settled, while others are on their way."""

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
        self._providers = providers
        self._drafts = Batches(ledger.drafts)
        self._renders = Batches(renderer.render_all)
        self._writes = Batches(ledger.write)
        self._slots: dict[Lane, asyncio.Semaphore] = {}
        self._away: set[Lane] = set()
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
                await self._turn(is_ready)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE_S):
                        await self._woken.wait()
        finally:
            await self._finish()

    async def send_due(self) -> int:
        """Begin what is due and has room; return how many."""
        room = {lane: self._room(lane) for lane in Lane}
        room = {lane: count for lane, count in room.items() if count > 0}
        if not room:
            return 0
        found = await asyncio.to_thread(self._ledger.due, room, frozenset(self._in_hand))
        for due in found:
            self._in_hand[due.message_id] = due.lane
            task = asyncio.create_task(self._run(due), name=f"send-{due.message_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(found)

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

    async def _turn(self, is_ready: Callable[[], bool]) -> None:
        try:
            if is_ready():
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
        draft = await self._drafts.ask(due.message_id)
        if draft is None:
            return
        content = await self._content(due, draft)
        if content is None:
            return
        self._in_hand[due.message_id] = draft.lane
        async with self._slot(draft.lane):
            claim = await self._writes.ask(Claiming(due.message_id, draft, content))
            if claim is None:
                # It has come to its end, or is made again for another address.
                self._settled()
                return
            failpoint("messaging.claimed")
            answer = await self._call(self._providers.get(draft.lane), claim)
        failpoint("messaging.called")
        self._watch(draft.lane, answer)
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
        rendered = await self._renders.ask((draft.parts, draft.data)) if draft.parts else {}
        if isinstance(rendered, RenderFailed):
            log.warning("template_failed", message=due.message_id, part=rendered.part)
        elif rendered:
            return made(rendered)
        # It cannot be made, or there is no such template.
        traceparent = self._tracing.current_traceparent()
        await self._writes.ask(Failing(due.message_id, "template_failed", traceparent))
        self._settled()
        return None

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
        settling = Settling(claim, answer, idempotent, self._tracing.current_traceparent())
        while True:
            try:
                await self._writes.ask(settling)
            except Exception as error:  # noqa: BLE001 - whatever it was: it is tried again
                _note("settle_failed", error)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    def _watch(self, lane: Lane, answer: Answer) -> None:
        """Say once that a provider does not take messages, and once that it does again."""
        takes = answer.outcome in {Outcome.ACCEPTED, Outcome.REFUSED}
        channel = lane.name.lower()
        if takes and lane in self._away:
            self._away.discard(lane)
            log.info("provider_back", channel=channel)
        elif not takes and lane not in self._away:
            self._away.add(lane)
            outcome, detail = str(answer.outcome), answer.detail
            log.warning("provider_away", channel=channel, outcome=outcome, detail=detail)

    def _is_idempotent(self, lane: Lane) -> bool:
        provider = self._providers.get(lane)
        return provider is not None and provider.idempotent

    def _concurrency(self, lane: Lane) -> int:
        provider = self._providers.get(lane)
        return provider.concurrency if provider is not None else UNKNOWN_LANE_SLOTS

    def _slot(self, lane: Lane) -> asyncio.Semaphore:
        """Return what is held from the claim to the answer: what a crash leaves in doubt."""
        return self._slots.setdefault(lane, asyncio.Semaphore(self._concurrency(lane)))

    def _room(self, lane: Lane) -> int:
        in_hand = sum(each is lane for each in self._in_hand.values())
        return AHEAD * self._concurrency(lane) - in_hand

    async def _finish(self) -> None:
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=FINISH_S)
        while unfinished:
            for task in unfinished:
                # What it had claimed is found so when messaging starts again.
                task.cancel()
            # A provider's library may let a cancellation pass unheard.
            _, unfinished = await asyncio.wait(unfinished, timeout=CANCEL_S)


def _note(event: str, error: Exception) -> None:
    log.error(event, error=describe(error))
