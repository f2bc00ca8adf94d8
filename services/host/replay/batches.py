"""Inputs to requests of `ProfileService.Ingest`, each small enough for one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.host.replay.wire import Input, framed

BATCH_INPUTS = 1_000
"""What one request may hold."""
BATCH_BYTES = 1024 * 1024
"""Well below what a message may hold, and half of a record of the log."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One request as bytes. `last_ms` is the time of its last input."""

    data: bytes
    first: int
    count: int
    last_ms: int


def batched(inputs: Iterable[Input]) -> Iterator[Batch]:
    """Yield the inputs as requests, in order. `first` numbers the first input of each, from 0."""
    parts: list[bytes] = []
    size = first = last_ms = 0
    for one in inputs:
        part = framed(one)
        if parts and (len(parts) == BATCH_INPUTS or size + len(part) > BATCH_BYTES):
            yield Batch(b"".join(parts), first, len(parts), last_ms)
            first += len(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part)
        last_ms = one.time_ms
    if parts:
        yield Batch(b"".join(parts), first, len(parts), last_ms)
