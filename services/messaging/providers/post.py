"""One POST on a connection of its own: what a receiver says too much is nobody else's answer.

With h11 alone, since a client that could do more costs several times as much for each message.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import h11

ANSWER_BYTES = 65_536
"""What is read of an answer: an id fits in many times over."""
HTTP_PORT, HTTPS_PORT = 80, 443
GOODBYE_S = 1.0
"""How long a receiver may take to end TLS in good order, once it has answered."""

_SAFE = "/%:@!$&'()*+,;=?~"


class Unreachable(Exception):
    """There is no connection: nothing was sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to post: what a URL says."""

    host: str
    port: int
    path: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `content` is empty where it was more than is read."""

    status: int
    retry_after: str
    content: bytes


def parse_target(url: str) -> Target:
    """Return what a URL says; raises ValueError where its port is none.

    >>> target = parse_target("http://user:pass@shop.example.com/sms?to=all")
    >>> target.port, target.path, target.headers["Host"]
    (80, '/sms?to=all', 'shop.example.com')
    """
    parts = urlsplit(url)
    is_safe = parts.scheme == "https"
    host = parts.hostname or "localhost"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    named = host.encode("idna").decode() if ":" not in host else f"[{host}]"
    headers = {"Host": f"{named}:{parts.port}" if parts.port else named, "User-Agent": "coterie"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    return Target(
        host,
        parts.port or (HTTPS_PORT if is_safe else HTTP_PORT),
        quote(path, safe=_SAFE),
        headers,
        ssl.create_default_context() if is_safe else None,
    )


async def post(
    target: Target, headers: Mapping[str, str], body: bytes, connect_s: float, answer_s: float
) -> Reply:
    """Send one request and return what is answered.

    Raises Unreachable before anything was sent; OSError, TimeoutError or h11.RemoteProtocolError
    where nobody knows what was taken of it.
    """
    goodbye_s = GOODBYE_S if target.tls is not None else None
    try:
        async with asyncio.timeout(connect_s):
            reader, writer = await asyncio.open_connection(
                target.host, target.port, ssl=target.tls, ssl_shutdown_timeout=goodbye_s
            )
    except (OSError, TimeoutError) as error:
        raise Unreachable(type(error).__name__) from None
    try:
        async with asyncio.timeout(answer_s):
            return await _exchange(reader, writer, _request(target, headers, body), body)
    finally:
        writer.close()


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> h11.Request:
    own = {"Content-Length": str(len(body)), "Connection": "close"}
    sent = {**target.headers, **headers, **own}
    return h11.Request(method="POST", target=target.path, headers=list(sent.items()))


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> Reply:
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_BYTES)
    parts = (request, h11.Data(data=body), h11.EndOfMessage())
    writer.write(b"".join(wire.send(part) or b"" for part in parts))
    status, retry_after, content = 0, "", b""
    while len(content) <= ANSWER_BYTES:
        match wire.next_event():
            case h11.NEED_DATA:
                wire.receive_data(await reader.read(ANSWER_BYTES))
            case h11.Response(status_code=status) as response:
                retry_after = dict(response.headers).get(b"retry-after", b"").decode("latin-1")
            case h11.Data(data=data):
                content += data
            case h11.EndOfMessage():
                return Reply(status, retry_after, content)
    return Reply(status, retry_after, b"")
