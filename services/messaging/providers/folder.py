"""Where no provider is configured: a folder, one file a message. Nothing leaves the machine.

A file is named by the message's id and replaced whole, so that a letter that is handed over twice
is there once.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.providers.http import body_of
from services.messaging.providers.port import Letter

CONCURRENCY = 4


class FolderProvider:
    """Writes what an HTTP provider would be sent into a folder, which it makes."""

    idempotent = True
    concurrency = CONCURRENCY

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, letter: Letter) -> Answer:
        """Write the letter; a disk that refuses is a provider that cannot be reached."""
        try:
            await asyncio.to_thread(self._write, letter)
        except OSError as error:
            return Answer(Outcome.UNREACHABLE, type(error).__name__)
        return Answer(Outcome.ACCEPTED, "written to a file: no provider is configured")

    async def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, letter: Letter) -> None:
        self._folder.mkdir(exist_ok=True)
        place = self._folder / f"{letter.message_id}.json"
        # What is in it is personal: for the owner of the process alone.
        part = place.with_suffix(".part")
        with open(part, "wb", opener=_private) as file:
            file.write(body_of(letter))
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
