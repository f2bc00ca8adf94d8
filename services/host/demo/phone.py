"""A provider of text messages on this machine: it takes what is sent, and keeps it to be shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Text:
    """One text message as it arrived."""

    message_id: str
    to: str
    text: str


class Phones:
    """Listens on a free port while it is entered. One message counts once, however often it comes.

    That is what the idempotency key is for: a caller that got no answer sends the same again.
    """

    def __init__(self) -> None:
        self._texts: dict[str, Text] = {}
        self.deliveries = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._take))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where messages are to be posted."""
        return f"http://127.0.0.1:{self._server.server_port}/messages"

    def texts_to(self, number: str) -> list[Text]:
        """Return what has arrived at a number, in order."""
        return [text for text in list(self._texts.values()) if text.to == number]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, text: Text) -> None:
        self.deliveries += 1
        self._texts.setdefault(text.message_id, text)


def _handler(take: Callable[[Text], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            if length > MAX_BODY_BYTES:
                self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            body = json.loads(self.rfile.read(length))
            key = self.headers.get("Idempotency-Key", body["id"])
            take(Text(key, body["to"], body["text"]))
            answer = json.dumps({"id": key}).encode()
            self.send_response(HTTPStatus.ACCEPTED)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its own name
            """Say nothing: the story is what is shown."""

    return Handler
