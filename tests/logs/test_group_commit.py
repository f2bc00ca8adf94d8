"""Callers that append at the same time share a commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from services.kit.errors import Exhausted
from services.kit.log.batching import SMALL_BYTES, GroupCommit
from services.kit.log.port import APPEND_LIMIT_BYTES, Entry, LogError
from tests.sim.memory_log import MemoryLog, Stored


class SlowLog(MemoryLog):
    """A log whose appends wait until they are let go, and fail where they are told to."""

    def __init__(self) -> None:
        super().__init__("inbound", Stored())
        self.sizes: list[int] = []
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.failures: list[Exception] = []

    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        self.begun.release()
        assert self.let_go.acquire(timeout=30)
        self.sizes.append(len(entries))
        if self.failures:
            raise self.failures.pop()
        return super().append(entries, expected_last)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=30)


async def handed_over(commits: GroupCommit, payloads: Sequence[bytes]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(commits.append(payload)) for payload in payloads]
    await asyncio.sleep(0)
    return tasks


def test_neighbours_are_joined_up_to_the_limit_and_each_learns_the_sequence_of_its_record() -> None:
    async def scene() -> None:
        log = SlowLog()
        commits = GroupCommit(log, join_bytes=10)
        first = await handed_over(commits, [b"a"])
        await log.has_begun()
        others = await handed_over(commits, [b"bbbb", b"cccc", b"dddd", b"e" * 30, b"f", b"g"])
        for _ in range(2):
            log.let_go.release()
        assert await asyncio.gather(*first, *others) == [1, 2, 2, 3, 4, 5, 5]
        payloads = [record.payload for record in log.read(0, 10)]
        assert payloads == [b"a", b"bbbbcccc", b"dddd", b"e" * 30, b"fg"]
        await commits.close()

    asyncio.run(scene())


def test_what_arrives_during_a_commit_goes_into_the_next_one() -> None:
    async def scene() -> None:
        log = SlowLog()
        commits = GroupCommit(log)
        first = await handed_over(commits, [b"first"])
        await log.has_begun()
        others = await handed_over(commits, [f"{number}".encode() for number in range(50)])
        for _ in range(2):
            log.let_go.release()
        assert await asyncio.gather(*first, *others) == list(range(1, 52))
        assert log.sizes == [1, 50]
        assert [record.payload for record in log.read(1, 2)] == [b"0", b"1"]
        await commits.close()

    asyncio.run(scene())


def test_a_cancelled_caller_does_not_take_its_record_back() -> None:
    async def scene() -> None:
        log = SlowLog()
        commits = GroupCommit(log)
        first, second = await handed_over(commits, [b"first", b"second"])
        await log.has_begun()
        first.cancel()
        await asyncio.sleep(0)
        log.let_go.release()
        assert await second == 2
        assert [record.payload for record in log.read(0)] == [b"first", b"second"]
        await commits.close()

    asyncio.run(scene())


def test_a_failed_commit_fails_its_callers_and_no_others() -> None:
    async def scene() -> None:
        log = SlowLog()
        log.failures = [OSError("the disk is full")]
        commits = GroupCommit(log)
        failing = await handed_over(commits, [b"a", b"b"])
        await log.has_begun()
        later = await handed_over(commits, [b"c"])
        for _ in range(2):
            log.let_go.release()
        answers = await asyncio.gather(*failing, *later, return_exceptions=True)
        assert [type(answer) for answer in answers] == [LogError, LogError, int]
        await commits.close()

    asyncio.run(scene())


def test_an_append_never_holds_more_than_the_limit() -> None:
    async def scene() -> None:
        log = SlowLog()
        commits = GroupCommit(log)
        payload = b"x" * (APPEND_LIMIT_BYTES // 2)
        tasks = await handed_over(commits, [payload] * 5)
        for _ in range(3):
            log.let_go.release()
        assert await asyncio.gather(*tasks) == [1, 2, 3, 4, 5]
        assert log.sizes == [2, 2, 1]
        with pytest.raises(ValueError, match="inbound"):
            await commits.append(b"x" * (APPEND_LIMIT_BYTES + 1))
        await commits.close()

    asyncio.run(scene())


def test_bulk_that_comes_when_too_much_waits_is_sent_away_and_a_small_change_is_not() -> None:
    async def scene() -> None:
        log = SlowLog()
        bulk = b"x" * (SMALL_BYTES + 1)
        commits = GroupCommit(log, queue_limit_bytes=2 * len(bulk))
        first = await handed_over(commits, [bulk])
        await log.has_begun()
        waiting = await handed_over(commits, [bulk, bulk])
        with pytest.raises(Exhausted) as refusal:
            await commits.append(bulk)
        assert refusal.value.reason == "BACKLOG_FULL"
        waiting += await handed_over(commits, [b"a change of consent"])
        for _ in range(2):
            log.let_go.release()
        assert await asyncio.gather(*first, *waiting) == [1, 2, 3, 4]
        await commits.close()

    asyncio.run(scene())


def test_close_waits_for_what_was_handed_over_and_takes_no_more() -> None:
    async def scene() -> None:
        log = SlowLog()
        commits = GroupCommit(log)
        (task,) = await handed_over(commits, [b"last"])
        log.let_go.release()
        await commits.close()
        assert await task == 1
        with pytest.raises(LogError, match="closed"):
            await commits.append(b"late")

    asyncio.run(scene())
