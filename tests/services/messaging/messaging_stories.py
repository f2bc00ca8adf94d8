"""Plays a story in a world of messaging with a real provider of text messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from messaging_world import World

from services.messaging.domain.lanes import Lane
from services.messaging.providers.http import HttpProvider
from tests.mailbox import HttpMailbox, open_http_mailbox

Story = Callable[[World, HttpMailbox], Coroutine[Any, Any, None]]


@asynccontextmanager
async def provider(world: World, patience_s: float) -> AsyncIterator[HttpMailbox]:
    async with open_http_mailbox() as mailbox:
        http = HttpProvider(mailbox.url, timeout_s=patience_s)
        world.providers[Lane.SMS] = http
        try:
            yield mailbox
        finally:
            await http.close()


def play(world: World, story: Story, patience_s: float = 10) -> None:
    async def run() -> None:
        async with provider(world, patience_s) as mailbox:
            await story(world, mailbox)

    asyncio.run(run())
