"""Deadlines: a call without one gets the default; calls made on its behalf end before it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import TypeVar

_T = TypeVar("_T")

DEFAULT_UNARY_S = 30.0
"""What a unary call may take whose caller set no deadline: longer answers are resources to get."""
DEFAULT_PEER_S = 10.0
"""What a call to another service may take where the caller's own deadline leaves more."""
PEER_MARGIN_S = 0.01
"""What a call to another service leaves of the caller's time, to answer that it failed."""

_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


class Late(Exception):
    """The default deadline has passed; no TimeoutError, which a wait inside may raise as well."""


async def within(limit_s: float | None, work: Awaitable[_T]) -> _T:
    """Await `work`; raises Late after `limit_s`, and then the work is cancelled."""
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise Late from None
        raise


def begin(remaining_s: float | None) -> None:
    """Remember when the call that this task serves has to be answered."""
    if remaining_s is not None:
        _ends_at.set(asyncio.get_running_loop().time() + remaining_s)


def peer_timeout_s() -> float:
    """Return how long a call made on behalf of the present one may take."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return DEFAULT_PEER_S
    left = ends_at - asyncio.get_running_loop().time() - PEER_MARGIN_S
    return max(0.0, min(DEFAULT_PEER_S, left))
