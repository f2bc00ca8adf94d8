"""Reads after writes: a read waits for exactly what it names, and for nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from coterie.rpc.v1 import consistency_pb2
from services.kit.errors import InvalidArgument
from services.kit.freshness import Freshness, format_revision, parse_revision, settle

Consistency = consistency_pb2.Consistency


def test_waiters_wake_as_their_position_is_reached_from_another_thread() -> None:
    async def run() -> None:
        freshness = Freshness()
        waits = [asyncio.ensure_future(freshness.wait_for(seq)) for seq in (3, 1, 2)]
        await asyncio.sleep(0)
        thread = threading.Thread(target=freshness.reached, args=(2,))
        thread.start()
        async with asyncio.timeout(5):
            await asyncio.gather(waits[1], waits[2])
        thread.join()
        assert not waits[0].done()
        freshness.reached(7)
        async with asyncio.timeout(5):
            await waits[0]

    asyncio.run(run())


def test_the_slowest_partition_decides() -> None:
    freshness = Freshness(2)
    freshness.reached(5, 0)
    assert freshness.position == 0
    freshness.reached(3, 1)
    assert freshness.position == 3


def test_a_recovery_may_step_back() -> None:
    freshness = Freshness()
    freshness.reached(5)
    freshness.reached(2)
    assert freshness.position == 2


def test_a_cancelled_wait_is_forgotten() -> None:
    async def run() -> None:
        freshness = Freshness()
        wait = asyncio.ensure_future(freshness.wait_for(1))
        await asyncio.sleep(0)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)
        assert not freshness._waiters
        freshness.reached(1)

    asyncio.run(run())


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    freshness = Freshness()

    async def leave() -> None:
        asyncio.ensure_future(freshness.wait_for(1)).add_done_callback(lambda _: None)
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    for task in asyncio.all_tasks(loop):
        freshness._waiters[0][2].call_soon(task.cancel)
    waiter = freshness._waiters[0]
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    freshness._waiters.append(waiter)
    loop.close()
    freshness.reached(1)
    assert not freshness._waiters


def test_revisions_are_their_position() -> None:
    assert parse_revision(format_revision(42), "revision") == 42


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "٣", "9" * 40, " 1", "1_000"])
def test_other_texts_are_no_revision(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_revision(text, "consistency.at_least")
    assert caught.value.reason == "INVALID_TOKEN"
    assert caught.value.metadata == {"field": "consistency.at_least"}


def _settled(consistency: consistency_pb2.Consistency, position: int, last: int) -> bool:
    """Return whether a read goes on at once."""

    async def run() -> bool:
        freshness = Freshness()
        freshness.reached(position)
        wait = asyncio.ensure_future(settle(consistency, freshness, lambda: last))
        await asyncio.wait({wait}, timeout=0.2)
        if wait.done():
            await wait
            return True
        freshness.reached(last)
        async with asyncio.timeout(5):
            await wait
        return False

    return asyncio.run(run())


def test_a_read_without_requirement_never_waits() -> None:
    assert _settled(Consistency(), position=0, last=9)
    assert _settled(Consistency(latest=False), position=0, last=9)


def test_a_read_of_at_least_waits_for_that() -> None:
    assert _settled(Consistency(at_least="5"), position=5, last=9)
    assert not _settled(Consistency(at_least="6"), position=5, last=9)


def test_a_read_of_the_latest_waits_for_the_end_of_the_log() -> None:
    assert _settled(Consistency(latest=True), position=9, last=9)
    assert not _settled(Consistency(latest=True), position=8, last=9)


def test_a_revision_that_no_write_returned_is_refused_instead_of_awaited() -> None:
    with pytest.raises(InvalidArgument, match=r"consistency.at_least: expected the `revision`"):
        _settled(Consistency(at_least="10"), position=9, last=9)
