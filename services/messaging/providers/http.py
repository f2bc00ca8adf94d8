"""The HTTP adapter: one POST of JSON a message, with the message's id as `Idempotency-Key`.

A receiver that honours the key gets each message once, so that a call without an answer is made
again with the same key and the same body.
"""

from __future__ import annotations

import json

import h11

from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import PROVIDER_NAMES
from services.messaging.providers.port import Letter
from services.messaging.providers.post import Reply, Unreachable, parse_target, post

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
CONCURRENCY = 32
ID_LENGTH = 128

_BUSY = frozenset({408, 425, 429, 503})
"""Definitely not taken: try again later."""
_SUCCESS, _REDIRECT, _SERVER_ERROR = 200, 300, 500


class HttpProvider:
    """Hands messages to one URL."""

    idempotent = True
    concurrency = CONCURRENCY

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._target = parse_target(url)
        self._timeout_s = timeout_s

    async def send(self, letter: Letter) -> Answer:
        """Post the letter; 2xx has taken it, 429 and 503 are busy, other 4xx refuse it."""
        headers = {"Idempotency-Key": letter.message_id, "Content-Type": "application/json"}
        connect_s = min(CONNECT_TIMEOUT_S, self._timeout_s)
        try:
            return _answer(
                await post(self._target, headers, body_of(letter), connect_s, self._timeout_s)
            )
        except Unreachable:
            return Answer(Outcome.UNREACHABLE)
        except (h11.RemoteProtocolError, OSError, TimeoutError) as error:
            return Answer(Outcome.NO_ANSWER, type(error).__name__)

    async def close(self) -> None:
        """Nothing is kept open."""


def body_of(letter: Letter) -> bytes:
    """Return the JSON of a letter: a function of the letter, since a key stands for one body."""
    content = {
        "id": letter.message_id,
        "channel": PROVIDER_NAMES[letter.lane],
        "to": letter.address,
        "subject": letter.subject,
        "text": letter.text,
        "campaign": letter.campaign,
    }
    if letter.html:
        content["html"] = letter.html
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _answer(reply: Reply) -> Answer:
    status = reply.status
    if _SUCCESS <= status < _REDIRECT:
        return Answer(Outcome.ACCEPTED, _id_in(reply.content) or str(status))
    if status in _BUSY:
        return Answer(Outcome.BUSY, str(status), _retry_after_ms(reply.retry_after))
    if status >= _SERVER_ERROR:
        # It failed at something: whether before or after it took the message, nobody knows.
        return Answer(Outcome.NO_ANSWER, str(status), _retry_after_ms(reply.retry_after))
    return Answer(Outcome.REFUSED, str(status))


def _id_in(content: bytes) -> str:
    """Return the id that the provider gave, where it gave one that can be told."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    given = found.get("id") if isinstance(found, dict) else None
    if not isinstance(given, str | int):
        return ""
    text = str(given)
    return text if len(text) <= ID_LENGTH and text.isprintable() else ""


def _retry_after_ms(text: str) -> int:
    return int(text) * 1000 if text.isascii() and text.isdecimal() and len(text) < 7 else 0  # noqa: PLR2004 - seconds of a week
