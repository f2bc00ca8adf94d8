"""Threads that share the passes of one question.

They are kept, since to begin one costs as much as a small answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

_T = TypeVar("_T")

MOST = 8
"""Beyond that memory is what they wait for, and each takes cells of its own."""

_pool = ThreadPoolExecutor(MOST - 1, "select")


def usual() -> int:
    """Return how many threads a question gets: one for each processor that we may use."""
    return min(MOST, len(os.sched_getaffinity(0)))


def side_by_side(works: Sequence[Callable[[], _T]]) -> list[_T]:
    """Do some works at once, the first of them here; return what they come to, in order.

    Work that no thread has begun when this one has nothing left to do is done here too: nobody
    waits for another's question.
    """
    begun = [_pool.submit(work) for work in works[1:]]
    try:
        found = [works[0]()]
        for work, other in zip(works[1:], begun, strict=True):
            found.append(work() if other.cancel() else other.result())
        return found
    finally:
        # What they look at may change once the question has ended.
        wait([other for other in begun if not other.cancel()])
