"""The record that is written where something waits for one and nobody else writes."""

import asyncio

from services.identity.nudger import Nudger


def test_a_wake_from_any_thread_is_a_nudge_and_a_failure_ends_nothing() -> None:
    async def story() -> None:
        nudged: asyncio.Queue[int] = asyncio.Queue()
        failures = [OSError("disk full")]

        async def nudge() -> None:
            nudged.put_nowait(1)
            if failures:
                raise failures.pop()

        nudger = Nudger(nudge)
        await asyncio.to_thread(nudger.wake)
        async with asyncio.timeout(5):
            await nudged.get()
            nudger.wake()
            await nudged.get()
        await nudger.stop()
        nudger.wake()
        await asyncio.sleep(0)
        assert nudged.empty()

    asyncio.run(story())
