"""Real receivers for messages: an SMTP server and an HTTP provider, each on a free port.

Both keep what they took, and can be told how to behave: an SMTP server that refuses, is busy or
breaks off; a provider that does so, is slow, or does not answer what it has taken.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


@dataclass
class Mailbox:
    """An SMTP server. `rcpt_answer` and `data_answer` are said instead of taking the mail."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    rcpt_answer: str = ""
    data_answer: str = ""
    break_off: bool = False

    @property
    def url(self) -> str:
        return f"smtp://{HOST}:{self.port}?from=Shop+%3Cshop@example.com%3E&starttls=never"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self.rcpt_answer:
            return self.rcpt_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.data_answer:
            return self.data_answer
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.SMTP)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        if self.break_off:
            transport = server.transport
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        return "250 taken"


@asynccontextmanager
async def open_mailbox() -> AsyncIterator[Mailbox]:
    """Run an SMTP server as long as the block."""
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(mailbox, loop=loop, enable_SMTPUTF8=True), HOST, 0
    )
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()


@dataclass
class Request:
    """What a provider was told once."""

    key: str
    body: dict[str, Any]
    raw: bytes


Behaviour = Callable[["HttpMailbox", asyncio.StreamWriter], Awaitable[None]]


async def accept(mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
    """Answer with an id of the provider's own."""
    body = json.dumps({"id": f"provider-{len(mailbox.requests)}"}).encode()
    await _write(writer, "200 OK", body)


def answer(status: str, *headers: str) -> Behaviour:
    """Return the behaviour of one who always says this."""

    async def say(_mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
        await _write(writer, status, b"{}", *headers)

    return say


async def stay_silent(_mailbox: HttpMailbox, _writer: asyncio.StreamWriter) -> None:
    """Take the message and never answer."""
    await asyncio.Event().wait()


async def hang_up(_mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
    """Take the message and close the connection."""
    writer.close()


async def trickle(_mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never end it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    await writer.drain()
    await asyncio.Event().wait()


async def answer_twice(mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
    """Send two whole answers to one request."""
    await accept(mailbox, writer)
    await answer("500 Internal Server Error")(mailbox, writer)


async def in_company(mailbox: HttpMailbox, writer: asyncio.StreamWriter) -> None:
    """Accept nothing before two messages are there at once."""
    if mailbox.most_at_once > 1:
        mailbox.crowded.set()
    await mailbox.crowded.wait()
    await accept(mailbox, writer)


@dataclass
class HttpMailbox:
    """An HTTP provider; `behaviour` is how it answers from now on."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    behaviour: Behaviour = accept
    most_at_once: int = 0
    crowded: asyncio.Event = field(default_factory=asyncio.Event)
    _now: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/messages"

    @property
    def taken(self) -> dict[str, dict[str, Any]]:
        """The messages by key, each once: what a provider that knows keys has sent."""
        return {request.key: request.body for request in self.requests}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(
                    line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                lower = {name.lower(): value for name, value in headers.items()}
                raw = await reader.readexactly(int(lower["content-length"]))
                self.requests.append(Request(lower["idempotency-key"], json.loads(raw), raw))
                self._now += 1
                self.most_at_once = max(self.most_at_once, self._now)
                try:
                    await self.behaviour(self, writer)
                finally:
                    self._now -= 1


@asynccontextmanager
async def open_http_mailbox() -> AsyncIterator[HttpMailbox]:
    """Run an HTTP provider as long as the block."""
    mailbox = HttpMailbox()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await mailbox.serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _write(writer: asyncio.StreamWriter, status: str, body: bytes, *headers: str) -> None:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode() + body)
    await writer.drain()
