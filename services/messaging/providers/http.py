"""The HTTP adapter: one POST of JSON a message, with the message's id as `Idempotency-Key`.

A receiver that honours the key gets each message once, so that a call without an answer is made
again with the same key and the same body.
"""

from __future__ import annotations

import asyncio
import json

import httpx

from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import PROVIDER_NAMES
from services.messaging.providers.port import Letter

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
CONCURRENCY = 32
ANSWER_BYTES = 65_536
"""What is read of an answer: an id fits in many times over."""
ID_LENGTH = 128

_BUSY = frozenset({408, 425, 429, 503})
"""Definitely not taken: try again later."""
_SUCCESS, _REDIRECT, _SERVER_ERROR = 200, 300, 500


class HttpProvider:
    """Hands messages to one URL."""

    idempotent = True
    concurrency = CONCURRENCY

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s
        connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_s, connect=connect_s),
            # A connection each: what a receiver says too much is never taken for the next answer.
            limits=httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=0),
            follow_redirects=False,
            # What surrounds this process says nothing about where messages go.
            trust_env=False,
        )

    async def send(self, letter: Letter) -> Answer:
        """Post the letter; 2xx has taken it, 429 and 503 are busy, other 4xx refuse it."""
        headers = {"Idempotency-Key": letter.message_id, "Content-Type": "application/json"}
        try:
            async with asyncio.timeout(self._timeout_s):
                request = self._client.stream(
                    "POST", self._url, content=body_of(letter), headers=headers
                )
                async with request as response:
                    return _answer(response, await _read(response))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Answer(Outcome.UNREACHABLE, type(error).__name__)
        except (httpx.HTTPError, TimeoutError) as error:
            return Answer(Outcome.NO_ANSWER, type(error).__name__)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


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


async def _read(response: httpx.Response) -> bytes:
    received = b""
    async for part in response.aiter_bytes():
        received += part
        if len(received) > ANSWER_BYTES:
            return b""
    return received


def _answer(response: httpx.Response, content: bytes) -> Answer:
    status = response.status_code
    if _SUCCESS <= status < _REDIRECT:
        return Answer(Outcome.ACCEPTED, _id_in(content) or str(status))
    if status in _BUSY:
        return Answer(Outcome.BUSY, str(status), _retry_after_ms(response))
    if status >= _SERVER_ERROR:
        # It failed at something: whether before or after it took the message, nobody knows.
        return Answer(Outcome.NO_ANSWER, str(status), _retry_after_ms(response))
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


def _retry_after_ms(response: httpx.Response) -> int:
    text = response.headers.get("Retry-After", "")
    return int(text) * 1000 if text.isascii() and text.isdecimal() and len(text) < 7 else 0  # noqa: PLR2004 - seconds of a week
