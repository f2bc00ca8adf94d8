"""State kernels with a mistake in them: the tests beside the twins have to find each."""

from __future__ import annotations

import random
from bisect import insort
from collections.abc import Callable

import pytest
from hypothesis import Phase, given, settings
from test_tally import Run, Seen, Twin, steps

from segcore._tally import Leaf, Newest, Total, Window
from segcore._wheel import Wheel

Timer = tuple[int, int, int]
DRAWN = settings(
    max_examples=500, deadline=None, database=None, derandomize=True, phases=[Phase.generate]
)


class Wrapped(Leaf):
    """A leaf by way of another, without a mistake of its own."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf

    def __len__(self) -> int:
        return len(self.leaf)

    def take(self, ordinal: int, occurred_ms: int, value: int | None, horizon_ms: int) -> bool:
        return self.leaf.take(ordinal, occurred_ms, value, horizon_ms)

    def see(self, ordinal: int, horizon_ms: int) -> Seen:
        return self.leaf.see(ordinal, horizon_ms)

    def let_go(self, ordinal: int, horizon_ms: int) -> None:
        self.leaf.let_go(ordinal, horizon_ms)

    def forget(self, ordinal: int) -> None:
        self.leaf.forget(ordinal)


class ForgottenTimer(Wrapped):
    """It does not say when the next row leaves."""

    def see(self, ordinal: int, horizon_ms: int) -> Seen:
        count, total, _ = self.leaf.see(ordinal, horizon_ms)
        return count, total, None


class LateAsIfNow(Wrapped):
    """A late row is taken for one of now."""

    def take(self, ordinal: int, occurred_ms: int, value: int | None, horizon_ms: int) -> bool:
        return self.leaf.take(ordinal, max(occurred_ms, horizon_ms), value, horizon_ms)


class OneOfEqualTimes(Wrapped):
    """Of two rows at one instant the second is taken for a repetition."""

    def __init__(self, leaf: Leaf) -> None:
        super().__init__(leaf)
        self.seen = set[tuple[int, int]]()

    def take(self, ordinal: int, occurred_ms: int, value: int | None, horizon_ms: int) -> bool:
        if (ordinal, occurred_ms) in self.seen:
            return True
        self.seen.add((ordinal, occurred_ms))
        return self.leaf.take(ordinal, occurred_ms, value, horizon_ms)


class WrappingSum(Wrapped):
    """A sum beyond 64 bits comes round instead of being missing."""

    def __init__(self, leaf: Leaf) -> None:
        super().__init__(leaf)
        self.sums = dict[int, int]()

    def take(self, ordinal: int, occurred_ms: int, value: int | None, horizon_ms: int) -> bool:
        self.sums[ordinal] = self.sums.get(ordinal, 0) + (value or 0)
        return super().take(ordinal, occurred_ms, value, horizon_ms)

    def see(self, ordinal: int, horizon_ms: int) -> Seen:
        count, total, due_ms = self.leaf.see(ordinal, horizon_ms)
        wrapped = (self.sums.get(ordinal, 0) + 2**63) % 2**64 - 2**63
        return count, wrapped if total is None else total, due_ms


class ExpiredEarly(Wrapped):
    """What leaves in a millisecond is dropped now."""

    def let_go(self, ordinal: int, horizon_ms: int) -> None:
        self.leaf.let_go(ordinal, horizon_ms + 1)


class ExpiredLate(Wrapped):
    """What leaves now is dropped a millisecond later."""

    def let_go(self, ordinal: int, horizon_ms: int) -> None:
        self.leaf.let_go(ordinal, horizon_ms - 1)


class NothingForgotten(Wrapped):
    """Rows that are somebody else's now stay."""

    def forget(self, ordinal: int) -> None:
        pass


Pair = Callable[[], tuple[Leaf, Twin]]
SOUND: dict[str, Pair] = {
    "window": lambda: (Wrapped(Window(10)), Twin(10)),
    "newest": lambda: (Wrapped(Newest(10, 2)), Twin(10, 2)),
    "total": lambda: (Wrapped(Total()), Twin(None)),
}
MISTAKEN: dict[str, Pair] = {
    "a window too long": lambda: (Window(11), Twin(10)),
    "a window too short": lambda: (Window(9), Twin(10)),
    "newest too long": lambda: (Newest(11, 2), Twin(10, 2)),
    "newest too short": lambda: (Newest(9, 2), Twin(10, 2)),
    "a time too few": lambda: (Newest(10, 1), Twin(10, 2)),
    "a time too many": lambda: (Newest(10, 3), Twin(10, 2)),
    "a forgotten timer": lambda: (ForgottenTimer(Window(10)), Twin(10)),
    "late as if now": lambda: (LateAsIfNow(Newest(10, 2)), Twin(10, 2)),
    "one of equal times": lambda: (OneOfEqualTimes(Window(30)), Twin(30)),
    "a wrapping sum": lambda: (WrappingSum(Total()), Twin(None)),
    "expired early": lambda: (ExpiredEarly(Window(10)), Twin(10)),
    "expired late": lambda: (ExpiredLate(Window(10)), Twin(10)),
    "nothing forgotten": lambda: (NothingForgotten(Total()), Twin(None)),
}


def _find(pair: Pair) -> None:
    @DRAWN
    @given(drawn=steps)
    def run(drawn: list[tuple[str, int, int, int | None]]) -> None:
        beside = Run(*pair())
        for what, ordinal, age, value in drawn:
            beside.step(what, ordinal, age, value)
        for ordinal in list(beside.twin.rows):
            beside.step("expire", ordinal, 0, None)
        kept = sum(beside.twin.has_state(ordinal, beside.now) for ordinal in beside.twin.rows)
        assert len(beside.leaf) == kept

    run()


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_leaf_passes(name: str) -> None:
    _find(SOUND[name])


@pytest.mark.parametrize("name", MISTAKEN)
def test_a_mistake_in_a_leaf_is_found(name: str) -> None:
    with pytest.raises(AssertionError):
        _find(MISTAKEN[name])


class Order:
    """A wheel that keeps other timers than those it is told, as its `twist` says."""

    def __init__(self, twist: Callable[[Timer], Timer | None]) -> None:
        self.wheel, self.twist = Wheel(), twist

    def add(self, timer: Timer) -> None:
        twisted = self.twist(timer)
        if twisted is not None:
            self.wheel.add(*twisted)

    def take(self) -> Timer | None:
        taken = self.wheel.take()
        return None if taken is None else self.twist(taken)


def _run_wheel(twist: Callable[[Timer], Timer | None]) -> None:
    drawn = random.Random(1)
    wheel, twin, now = Order(twist), list[Timer](), 1_700_000_000_000
    for _ in range(60):
        now += drawn.choice((0, 5, 90_000, 40_000_000))
        for _ in range(20):
            window = drawn.choice((1, 3, 1000, 3_600_000, 90 * 86_400_000))
            timer = (now + window, drawn.randrange(4), drawn.randrange(4))
            wheel.add(timer)
            insort(twin, timer)
        while twin and twin[0][0] <= now:
            assert wheel.take() == twin.pop(0)
    assert [wheel.take() for _ in twin] == twin


def test_a_sound_wheel_passes() -> None:
    _run_wheel(lambda timer: timer)


@pytest.mark.parametrize(
    "twist",
    [
        lambda timer: (timer[0], timer[2], timer[1]),  # ties by node and then by ordinal
        lambda timer: (timer[0], 3 - timer[1], timer[2]),  # the greater ordinal first
        lambda timer: timer if timer[0] % 97 else None,  # forgotten
        lambda timer: (timer[0] + 1, *timer[1:]),  # a millisecond late, and again when it is read
    ],
)
def test_a_mistake_in_a_wheel_is_found(twist: Callable[[Timer], Timer | None]) -> None:
    with pytest.raises(AssertionError):
        _run_wheel(twist)
