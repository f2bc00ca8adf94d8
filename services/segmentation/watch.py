"""Streams of transitions, read from their logs; a token says how far a stream has come."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pyroaring import BitMap

from coterie.log.v1 import transitions_pb2
from services.kit.errors import FailedPrecondition, InvalidArgument
from services.kit.freshness import Freshness
from services.kit.ids import profile_id
from services.kit.log.port import Log, Record

QUIET_S = 5.0
"""A stream with nothing to tell says so this often, so that its reader can keep the token."""
BATCH = 1_000
"""Transitions a message at most."""
READ_RECORDS = 64


@dataclass(slots=True)
class Cursor:
    """How far one log is told: all up to `seq`, and `index` transitions of the next record."""

    seq: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What one message tells: transitions with their person."""

    transitions: list[tuple[transitions_pb2.Transition, int]]
    token: str


class Watcher:
    """Opens streams over the transitions logs of all partitions."""

    def __init__(self, logs: Sequence[Log], freshness: Freshness) -> None:
        self._logs = logs
        self._freshness = freshness

    async def watch(
        self, audiences: frozenset[str], token: str, *, from_start: bool
    ) -> AsyncIterator[Told]:
        """Yield what happens, in order for each person; never ends by itself.

        Raises InvalidArgument for a foreign token and FailedPrecondition for one that the logs have
        dropped. An empty set of audiences means all.
        """
        cursors = await asyncio.to_thread(self._begin, token, from_start)
        loop = asyncio.get_running_loop()
        told_s = loop.time()
        while True:
            seen = self._freshness.position
            read = False
            for partition, cursor in enumerate(cursors):
                for batch in await asyncio.to_thread(self._next, partition, cursor, audiences):
                    read = True
                    cursor.seq, cursor.index = batch.seq, batch.index
                    if batch.found:
                        yield Told(batch.found, _token(cursors))
                        told_s = loop.time()
            if loop.time() >= told_s + QUIET_S:
                # Records of others, or of ticks, come all the time: they are nothing to tell.
                yield Told([], _token(cursors))
                told_s = loop.time()
            elif not read:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(told_s + QUIET_S):
                        await self._freshness.wait_for(seen + 1)

    def _begin(self, token: str, from_start: bool) -> list[Cursor]:  # noqa: FBT001  to_thread passes by position
        if token:
            cursors = _parse(token, len(self._logs))
            for log, cursor in zip(self._logs, cursors, strict=True):
                self._check(log, cursor)
            return cursors
        if from_start:
            return [Cursor(log.first_seq() - 1) for log in self._logs]
        ends = [log.last() for log in self._logs]
        return [Cursor(end.seq if end else 0) for end in ends]

    def _check(self, log: Log, cursor: Cursor) -> None:
        end = log.last()
        if cursor.seq > (end.seq if end else 0):
            raise _foreign()
        if cursor.seq < log.first_seq() - 1:
            oldest = _token([Cursor(each.first_seq() - 1) for each in self._logs])
            raise FailedPrecondition(
                "TOKEN_COMPACTED",
                "resume_token: the log no longer holds what follows; begin with the oldest token",
                {"oldest_resume_token": oldest},
            )

    def _next(self, partition: int, cursor: Cursor, audiences: frozenset[str]) -> list[_Batch]:
        records = self._logs[partition].read(cursor.seq, READ_RECORDS)
        batches: list[_Batch] = []
        for record in records:
            skip = cursor.index if record.seq == cursor.seq + 1 else 0
            batches += _batches(record, partition, skip, audiences)
        return batches


@dataclass(frozen=True, slots=True)
class _Batch:
    """A part of one record, and where the cursor stands once it is told."""

    found: list[tuple[transitions_pb2.Transition, int]]
    seq: int
    index: int


def _batches(
    record: Record, partition: int, skip: int, audiences: frozenset[str]
) -> Iterator[_Batch]:
    found: list[tuple[transitions_pb2.Transition, int]] = []
    for index, (one, person) in enumerate(_flat(record, partition), start=1):
        if index > skip and (not audiences or one.audience_id in audiences):
            found.append((one, person))
            if len(found) == BATCH:
                yield _Batch(found, record.seq - 1, index)
                found = []
    yield _Batch(found, record.seq, 0)


def _flat(record: Record, partition: int) -> Iterator[tuple[transitions_pb2.Transition, int]]:
    for one in transitions_pb2.TransitionPack.FromString(record.payload).transitions:
        if one.profile_ordinals:
            for ordinal in BitMap.deserialize(one.profile_ordinals):
                yield one, profile_id(partition, ordinal)
        elif one.profile_id:
            yield one, one.profile_id


def _token(cursors: Sequence[Cursor]) -> str:
    content = json.dumps([[each.seq, each.index] for each in cursors], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode()


def _parse(token: str, partitions: int) -> list[Cursor]:
    try:
        content = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
        cursors = [Cursor(seq, index) for seq, index in content]
    except (ValueError, TypeError, RecursionError):
        raise _foreign() from None
    numbers = [number for each in cursors for number in (each.seq, each.index)]
    if len(cursors) != partitions or not all(type(each) is int and each >= 0 for each in numbers):
        raise _foreign()
    return cursors


def _foreign() -> InvalidArgument:
    return InvalidArgument(
        "INVALID_TOKEN",
        "resume_token: expected the token of a former message, found another text",
        {"field": "resume_token"},
    )
