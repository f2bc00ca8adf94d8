"""The wheel beside a sorted list."""

from __future__ import annotations

import random
from bisect import insort

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore._wheel import Wheel

SECOND, HOUR, ERA = 1 << 10, 1 << 22, 1 << 34
START = 1_700_000_000_000

offsets = st.one_of(
    st.integers(-3, 3),
    st.integers(-5 * SECOND, 5 * SECOND),
    st.integers(-HOUR, HOUR),
    st.integers(0, 5000 * HOUR),
    st.integers(0, 9000 * ERA),
    st.builds(
        lambda unit, count, off: unit * count + off,
        st.sampled_from((SECOND, HOUR, ERA)),
        st.sampled_from((1, 2, 4095, 4096, 4097)),
        st.integers(-1, 1),
    ),
)
small = st.integers(0, 3)
timers = st.tuples(offsets, small, small)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), timers),
        st.tuples(st.just("rows"), timers),
        st.tuples(st.just("pop"), st.integers(1, 40)),
        st.tuples(st.just("floor"), offsets),
        st.tuples(st.just("until"), offsets),
    ),
    max_size=40,
)


def _push(wheel: Wheel, twin: list[tuple[int, int, int]], timer: tuple[int, int, int]) -> None:
    wheel.add(*timer)
    insort(twin, timer)


def _pop(wheel: Wheel, twin: list[tuple[int, int, int]]) -> None:
    expected = twin.pop(0) if twin else None
    assert wheel.peek() == expected
    assert wheel.take() == expected


@given(st.sampled_from((0, START)), steps)
def test_timers_come_in_order_whatever_the_order_in_which_they_were_set(
    start: int, drawn: list[tuple[str, tuple[int, int, int] | int]]
) -> None:
    wheel, twin, now = Wheel(), list[tuple[int, int, int]](), start
    wheel.floor_ms = now
    for step, value in drawn:
        if isinstance(value, tuple):
            count = 300 if step == "rows" else 1
            for number in range(count):
                due = now + value[0] + number * 7919 % 5 * SECOND * value[1] + number // 9
                _push(wheel, twin, (due, value[1], value[2]))
        elif step == "pop":
            for _ in range(value):
                _pop(wheel, twin)
        elif step == "floor":
            wheel.floor_ms = max(0, now + value)
        else:
            now += max(0, value)
            while twin and twin[0][0] <= now:
                _pop(wheel, twin)
            wheel.floor_ms = now
        assert wheel.peek() == (twin[0] if twin else None)
        assert len(wheel) == len(twin)
    while twin:
        _pop(wheel, twin)
    assert wheel.take() is None


@pytest.mark.parametrize("span", [1, SECOND, HOUR, 3000 * HOUR, 300 * ERA, 6000 * ERA])
@pytest.mark.parametrize("count", [4097, 20_000])
def test_many_timers_in_one_span_come_in_order(span: int, count: int) -> None:
    drawn = random.Random(span + count)
    wheel, twin = Wheel(), []
    for _ in range(count):
        timer = (START + drawn.randrange(span), drawn.randrange(1 << 32), drawn.randrange(9))
        wheel.add(*timer)
        twin.append(timer)
    assert [wheel.take() for _ in range(count)] == sorted(twin)
    assert wheel.take() is None


@pytest.mark.parametrize("keeps_floor", [True, False])
def test_a_live_run_keeps_its_order(keeps_floor: bool) -> None:  # noqa: FBT001
    drawn = random.Random(3)
    wheel, twin, now = Wheel(), list[tuple[int, int, int]](), START
    for _ in range(400):
        now += drawn.choice((0, 1, 1000, 60_000, 40_000_000))
        while twin and twin[0][0] <= now:
            _pop(wheel, twin)
        if keeps_floor:
            wheel.floor_ms = now
        for _ in range(drawn.randrange(60)):
            window = drawn.choice((1, 1000, 3_600_000, 86_400_000, 90 * 86_400_000))
            ordinal = drawn.randrange(5)
            _push(wheel, twin, (now - drawn.randrange(9) + window, ordinal, drawn.randrange(2)))
    assert len(twin) == len(wheel) > 1000


def test_to_look_at_a_far_timer_moves_nothing() -> None:
    wheel = Wheel()
    wheel.floor_ms = START
    wheel.add(START + 3 * ERA, 1, 1)
    assert wheel.peek() == (START + 3 * ERA, 1, 1)
    wheel.add(START + SECOND, 2, 2)
    assert wheel.peek() == (START + SECOND, 2, 2)
    assert wheel.take() == (START + SECOND, 2, 2)
    assert wheel.take() == (START + 3 * ERA, 1, 1)


@pytest.mark.parametrize("unit", [SECOND, HOUR, ERA])
def test_a_timer_one_round_ahead_waits_for_those_of_this_round(unit: int) -> None:
    wheel, start = Wheel(), START // unit * unit
    wheel.floor_ms = start
    ahead = [5, 9, 4095, 4096, 4097, 4101]
    for place in reversed(ahead):
        wheel.add(start + place * unit, place, 0)
    assert [wheel.take() for _ in ahead] == [(start + place * unit, place, 0) for place in ahead]


def test_extreme_instants_are_kept() -> None:
    wheel = Wheel()
    instants = [2**63 - 1, -(2**63), 0, -1, 2**46 - 1, 2**46, START]
    for due_ms in instants:
        wheel.add(due_ms, 2**32 - 1, 2**32 - 1)
    taken = [wheel.take() for _ in instants]
    assert taken == [(due_ms, 2**32 - 1, 2**32 - 1) for due_ms in sorted(instants)]


def test_memory_is_given_back() -> None:
    wheel = Wheel()
    empty = wheel.memory()
    drawn = random.Random(5)
    for ordinal in range(50_000):
        wheel.add(START + drawn.randrange(3000 * HOUR), ordinal, 0)
    full = wheel.memory()
    assert full - empty < 50_000 * 16 * 2
    for _ in range(25_000):
        wheel.take()
    assert wheel.memory() - empty < (full - empty) * 0.6
    for _ in range(25_000):
        wheel.take()
    assert wheel.memory() == empty
    wheel.add(START, 1, 1)
    wheel.clear()
    assert wheel.memory() == empty
    assert wheel.peek() is None
