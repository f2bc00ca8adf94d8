"""What the dispatcher asks of a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.messaging.domain.attempts import Answer
from services.messaging.domain.lanes import Lane


@dataclass(frozen=True, slots=True)
class Letter:
    """One message as it goes out. Its id is its key: a provider that knows keys takes it once."""

    message_id: str
    lane: Lane
    address: str
    campaign: str
    subject: str
    text: str
    html: str
    decide_ms: int


class Provider(Protocol):
    """Takes letters; several at once, but no more than `concurrency`."""

    @property
    def idempotent(self) -> bool:
        """Whether a letter that is handed over twice goes out once."""

    @property
    def concurrency(self) -> int:
        """How many letters may be on their way to it at once."""

    async def send(self, letter: Letter) -> Answer:
        """Hand a letter over, within a bounded time. Says, and does not raise, what came of it."""

    async def close(self) -> None:
        """Let go of connections."""
