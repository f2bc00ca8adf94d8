"""Ticks by a clock that may be wrong."""

import asyncio

import pytest

from services.identity.domain.tick_guard import LEAP_LIMIT_MS, TickGuard
from services.identity.ticker import Ticker
from services.kit.errors import Unavailable

HOUR_MS = 3_600_000


def test_a_good_clock_ticks_its_time() -> None:
    guard = TickGuard(None)
    assert [guard.next_ms(at, at - 500) for at in (1_000, 2_000, 3_001)] == [1_000, 2_000, 3_001]


def test_a_clock_that_goes_back_stands_still_until_it_is_there_again() -> None:
    guard = TickGuard(None)
    clock = [HOUR_MS, 1_000, 2_000, HOUR_MS + 3_000]
    ticks = [guard.next_ms(at, number * 1_000) for number, at in enumerate(clock)]
    assert ticks == [HOUR_MS, HOUR_MS, HOUR_MS, HOUR_MS + 3_000]
    assert not guard.is_halted


def test_a_clock_behind_the_last_tick_of_a_former_process_stands_still() -> None:
    guard = TickGuard(5_000)
    assert [guard.next_ms(at, at) for at in (4_000, 5_500)] == [5_000, 5_500]


def test_a_small_correction_ahead_is_no_leap() -> None:
    guard = TickGuard(None)
    guard.next_ms(0, 0)
    assert guard.next_ms(1_000 + LEAP_LIMIT_MS, 1_000) == 1_000 + LEAP_LIMIT_MS


def test_a_leap_ahead_ends_the_ticks_even_when_the_clock_comes_back() -> None:
    guard = TickGuard(None)
    guard.next_ms(1_000, 1_000)
    assert guard.next_ms(2_001 + LEAP_LIMIT_MS, 2_000) is None
    assert guard.next_ms(3_000, 3_000) is None
    assert (guard.is_halted, guard.leap_ms) == (True, LEAP_LIMIT_MS + 1)


def test_a_new_guard_takes_a_later_time_as_right() -> None:
    assert TickGuard(1_000).next_ms(HOUR_MS, 0) == HOUR_MS


class TwoClocks:
    """The machine's clock and its steady one, each as told."""

    def __init__(self) -> None:
        self.time_ms = 10_000
        self.steady_ms = 0

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_ms(self) -> int:
        return self.steady_ms


def test_the_ticker_says_why_it_stopped_and_what_to_do() -> None:
    clock = TwoClocks()
    ticks: list[int] = []

    async def append(time_ms: int) -> int:
        ticks.append(time_ms)
        return len(ticks)

    ticker = Ticker(clock, None, append)
    asyncio.run(ticker.beat())
    assert ticker.halted is None
    clock.time_ms += HOUR_MS
    asyncio.run(ticker.run())
    assert ticks == [10_000]
    assert ticker.halted == (
        "the clock leapt ahead by 3600 s: if it is right now, restart this process"
    )


@pytest.mark.parametrize("failure", [Unavailable("UNAVAILABLE", "no disk"), RuntimeError("gone")])
def test_a_tick_that_was_not_stored_is_not_missed(failure: Exception) -> None:
    clock = TwoClocks()
    ticks: list[int] = []

    async def append(time_ms: int) -> int:
        if time_ms == 10_000:
            raise failure
        ticks.append(time_ms)
        return len(ticks)

    ticker = Ticker(clock, None, append)
    asyncio.run(ticker.beat())
    clock.time_ms += 1_000
    asyncio.run(ticker.beat())
    assert ticks == [11_000]
