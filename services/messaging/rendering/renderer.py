"""Asks the rendering process, and replaces it when a template has brought it down."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from services.kit.clock import SystemClock
from services.messaging.domain.names import Use

WALL_MS = 3_000
"""More than the processor time that the process may take: the machine may be busy."""
START_MS = 30_000
READ_BYTES = 65_536
ANSWER_BYTES = 4_000_000

Request = Mapping[str, Any]

_START = "from services.messaging.rendering.worker import main; main()"
_NOTHING: Sequence[Request] = ({"task": "check", "parts": {}},)


class RenderFailed(Exception):
    """A template that cannot be made; `part` and `line` say where. Holds no personal data."""

    def __init__(self, why: str, part: str = "", line: int = 1) -> None:
        super().__init__(why)
        self.why = why
        self.part = part
        self.line = line


class Renderer:
    """One rendering process, started at its first use. Calls take turns; run them on a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clock = SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    def names(self, parts: Mapping[str, str]) -> list[Use]:
        """Parse the parts of a template and return the names that it uses; raises RenderFailed."""
        request = {"task": "check", "parts": dict(parts)}
        done = _done(request, *self._ask_all([request]))
        return [Use(part, tuple(path), line) for part, uses in done.items() for path, line in uses]

    def render(self, parts: Mapping[str, str], data: Mapping[str, Any]) -> dict[str, str]:
        """Return each part as it reads with `data`; raises RenderFailed."""
        (rendered,) = self.render_all([(parts, data)])
        if isinstance(rendered, RenderFailed):
            raise rendered
        return rendered

    def render_all(
        self, wanted: Sequence[tuple[Mapping[str, str], Mapping[str, Any]]]
    ) -> list[dict[str, str] | RenderFailed]:
        """Return the parts of each message, or what it failed by: that fails no other."""
        requests = [
            {"task": "render", "parts": dict(parts), "data": data} for parts, data in wanted
        ]
        rendered: list[dict[str, str] | RenderFailed] = []
        for request, answer in zip(requests, self._ask_all(requests), strict=True):
            try:
                rendered.append(_done(request, answer))
            except RenderFailed as failure:
                rendered.append(failure)
        return rendered

    def warm_up(self) -> None:
        """Start the process before the first message needs it."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask_all(self, requests: Sequence[Request]) -> list[dict[str, Any] | None]:
        """Return an answer to each request, None where the process came to its end over it."""
        with self._lock:
            answers = self._exchange(self._running(), requests, WALL_MS)
            if answers is not None:
                return [*answers]
            self._end()
        if len(requests) == 1:
            return [None]
        # One of them is to blame: each is asked for alone.
        return [answer for each in requests for answer in self._ask_all([each])]

    def _exchange(
        self, process: subprocess.Popen[bytes], requests: Sequence[Request], wall_ms: int
    ) -> list[dict[str, Any]] | None:
        """Send requests and return their answers, None where the process gave none."""
        if process.stdin is None or process.stdout is None:
            raise OSError("the rendering process has no pipes")
        try:
            process.stdin.write(json.dumps(requests).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        received = self._read_line(process.stdout.fileno(), self._clock.monotonic_ms() + wall_ms)
        if not received.endswith(b"\n"):
            return None
        answers: list[dict[str, Any]] = json.loads(received)
        return answers

    def _read_line(self, descriptor: int, deadline_ms: int) -> bytes:
        received = b""
        while not received.endswith(b"\n") and len(received) < ANSWER_BYTES:
            left_s = (deadline_ms - self._clock.monotonic_ms()) / 1000
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                return b""
            part = os.read(descriptor, READ_BYTES)
            if not part:
                return b""
            received += part
        return received

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; raises OSError where none can be started."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._process = _start()
        # A process that answers nothing at all is no template's fault.
        if self._exchange(self._process, _NOTHING, START_MS) is None:
            self._end()
            raise OSError("the rendering process does not start")
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def _done(request: Request, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a request came to; raises RenderFailed."""
    if answer is None:
        part = next(iter(request["parts"]), "")
        raise RenderFailed("it takes more time or memory than a message may", part)
    if "done" in answer:
        return dict(answer["done"])
    raise RenderFailed(answer["error"], answer["part"], answer["line"])


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own process, by no words of a caller
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Nothing of our environment: where the code is, and no more.
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
