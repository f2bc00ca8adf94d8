"""Makes the batches of a run ahead of time, in a process of its own, so that sending never waits.

The parent writes one line of JSON; the answer is each batch after its length in four bytes. A full
pipe holds it back, and a closed one ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from services.host.load.mix import Mix
from services.host.load.mix_file import load_mix
from services.host.load.requests import Requests

LENGTH_BYTES = 4
AHEAD_BYTES = 64 * 1024 * 1024
"""How much is kept ready: some seconds at any rate that one process can send."""
START_S = 60.0


class MakerError(Exception):
    """The process that makes the batches ended before its time."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to make: `count` batches of `size` events."""

    mix_file: Path | None
    seed: int
    run: str
    profiles: int
    audiences: int
    size: int
    count: int

    def requests(self, mix: Mix) -> Requests:
        """Return what makes them."""
        return Requests(mix, self.seed, self.run, self.profiles, self.audiences)


class Batches:
    """The batches in their order. `ready` holds once a share of them waits, or all do."""

    def __init__(self, order: Order, ahead_bytes: int = AHEAD_BYTES) -> None:
        self._left = order.count
        self._ahead_bytes = ahead_bytes
        self._held_bytes = 0
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self.ready = asyncio.Event()

    async def next(self) -> bytes:
        """Return the next batch; raises MakerError where the process has died."""
        batch = await self._queue.get()
        if batch is None:
            self._queue.put_nowait(None)
            raise MakerError("the process that makes the events ended before its time")
        self._held_bytes -= len(batch)
        self._room.set()
        return batch

    async def fill(self, reader: asyncio.StreamReader, ready_count: int) -> None:
        """Read batches until all are there, no more at a time than there is room for."""
        try:
            while self._left:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                self._queue.put_nowait(await reader.readexactly(length))
                self._left -= 1
                self._held_bytes += length
                full = self._held_bytes >= self._ahead_bytes
                if full or self._queue.qsize() >= ready_count:
                    self.ready.set()
                while self._held_bytes >= self._ahead_bytes:
                    self._room.clear()
                    await self._room.wait()
        except asyncio.IncompleteReadError:
            self._queue.put_nowait(None)
        self.ready.set()


@asynccontextmanager
async def made_ahead(order: Order, ready_count: int) -> AsyncIterator[Batches]:
    """Run the process as long as the block; begins once `ready_count` batches wait."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.host.load.maker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(_root()), *sys.path]))},
    )
    if process.stdin is None or process.stdout is None:
        raise MakerError("the process that makes the events has no pipes")
    batches = Batches(order)
    filling = asyncio.create_task(batches.fill(process.stdout, ready_count), name="load-batches")
    try:
        process.stdin.write(_encoded(order))
        process.stdin.close()
        async with asyncio.timeout(START_S):
            await batches.ready.wait()
        yield batches
    except TimeoutError:
        raise MakerError(f"no events were made within {START_S:g} s") from None
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _root() -> Path:
    return Path(__file__).resolve().parents[3]


def _encoded(order: Order) -> bytes:
    values = {name: getattr(order, name) for name in Order.__slots__}
    values["mix_file"] = str(order.mix_file.resolve()) if order.mix_file else None
    return json.dumps(values).encode() + b"\n"


def main() -> None:
    """Make what standard input orders, on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    values = json.loads(sys.stdin.buffer.readline())
    file = Path(values.pop("mix_file")) if values["mix_file"] else values.pop("mix_file")
    order = Order(mix_file=file, **values)
    requests = order.requests(load_mix(file))
    with suppress(BrokenPipeError):
        for number in range(order.count):
            batch = requests.batch(number, order.size)
            sys.stdout.buffer.write(len(batch).to_bytes(LENGTH_BYTES, "big"))
            sys.stdout.buffer.write(batch)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
