"""Real providers of the runner's own: a mail server, and an HTTP server for all other channels."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP

from tests.scenarios.record import Arrival

HOST = "127.0.0.1"
HTTP_CHANNELS = ("sms", "push", "assistant")
SENDER = "shop@coterie.example"


class Mailbox:
    """Takes every message and keeps it. As a provider should, it takes an id once.

    Use as an asynchronous context manager.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: list[Arrival] = []
        self._bodies: dict[str, bytes] = {}
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._smtp: asyncio.Server | None = None

    @property
    def providers(self) -> Mapping[str, str]:
        """Return where each channel's provider is, as the configuration has it."""
        if self._http is None or self._smtp is None:
            raise RuntimeError("the providers are not running")
        http = f"http://{HOST}:{self._http.server_address[1]}"
        smtp_port = self._smtp.sockets[0].getsockname()[1]
        urls = {channel: f"{http}/{channel}" for channel in HTTP_CHANNELS}
        return {"email": f"smtp://{HOST}:{smtp_port}?from={SENDER}", **urls}

    def arrivals(self) -> list[Arrival]:
        """Return what has arrived, in order."""
        with self._lock:
            return list(self._arrivals)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._smtp = await loop.create_server(
            lambda: SMTP(_Mails(self), loop=loop, enable_SMTPUTF8=True), HOST, 0
        )
        self._http = _server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._smtp is not None:
            self._smtp.close()
            await self._smtp.wait_closed()
        if self._http is not None and self._thread is not None:
            await asyncio.to_thread(self._http.shutdown)
            self._thread.join()
            self._http.server_close()

    def take_mail(self, content: bytes, address: str) -> None:
        mail = message_from_bytes(content, policy=policy.default)
        body = mail.get_body(("plain",)) if isinstance(mail, EmailMessage) else None
        text = body.get_content() if body is not None else ""
        message_id = str(mail["Message-ID"]).strip("<> ").partition("@")[0]
        with self._lock:
            self._arrivals.append(Arrival(message_id, "email", address, text.strip()))

    def take_post(self, key: str, body: bytes) -> bool:
        """Take a message unless its key is known; return whether its body is the key's."""
        found: dict[str, Any] = json.loads(body)
        with self._lock:
            if self._bodies.setdefault(key, body) is body:
                arrival = Arrival(key, found["channel"], found["to"] or "", found["text"])
                self._arrivals.append(arrival)
            return self._bodies[key] == body


class _Mails:
    """What the mail server calls."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        for address in envelope.rcpt_tos:
            self._mailbox.take_mail(envelope.original_content, address)
        return "250 taken"


def _server(mailbox: Mailbox) -> ThreadingHTTPServer:
    class Posts(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            same = mailbox.take_post(self.headers["Idempotency-Key"], body)
            answer = b"{}"
            self.send_response(200 if same else 422)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's own
            """Say nothing on the terminal."""

    server = ThreadingHTTPServer((HOST, 0), Posts)
    server.daemon_threads = True
    return server
