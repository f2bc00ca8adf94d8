"""The three kinds of leaves beside lists of rows."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore._tally import Leaf, Newest, Total, Window

LIMIT = 2**63 - 1
START = 1_700_000_000_000
Seen = tuple[int, int | None, int | None]


@dataclass
class Twin:
    """All rows of one leaf, by ordinal: what a leaf means, said plainly."""

    window_ms: int | None
    most: int | None = None
    summed: bool = True
    rows: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def take(self, ordinal: int, occurred_ms: int, value: int | None, horizon_ms: int) -> None:
        if self.window_ms is None or occurred_ms > horizon_ms - self.window_ms:
            self.rows.setdefault(ordinal, []).append((occurred_ms, value or 0))

    def see(self, ordinal: int, horizon_ms: int) -> Seen:
        kept = sorted(self.rows.get(ordinal, []), reverse=True)
        if self.window_ms is not None:
            kept = [row for row in kept if row[0] + self.window_ms > horizon_ms]
        if self.most is not None:
            kept = kept[: self.most]
        total: int | None = sum(value for _, value in kept) if self.summed else 0
        if self.most is not None or abs(total or 0) > LIMIT:
            total = None
        due_ms = kept[-1][0] + self.window_ms if kept and self.window_ms is not None else None
        return len(kept), total, due_ms

    def has_state(self, ordinal: int, horizon_ms: int) -> bool:
        return self.see(ordinal, horizon_ms)[0] > 0


Pair = Callable[[], tuple[Leaf, Twin]]
KINDS: dict[str, Pair] = {
    "total": lambda: (Total(), Twin(None)),
    "newest of 1": lambda: (Newest(10, 1), Twin(10, 1)),
    "newest of 2": lambda: (Newest(10, 2), Twin(10, 2)),
    "newest of 5": lambda: (Newest(30, 5), Twin(30, 5)),
    "newest of 16": lambda: (Newest(1000, 16), Twin(1000, 16)),
    "short window": lambda: (Window(10), Twin(10)),
    "long window": lambda: (Window(1000), Twin(1000)),
    "counted window": lambda: (Window(30, summed=False), Twin(30, summed=False)),
}

values = st.one_of(
    st.integers(-5, 5), st.sampled_from((LIMIT, -LIMIT, LIMIT // 2, 1, -1)), st.none()
)
ages = st.one_of(st.integers(0, 12), st.integers(0, 31), st.sampled_from((999, 1000, 1001)))
ordinals = st.sampled_from((1, 2, 3, 70_000, 2**32 - 2))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("row"), ordinals, ages, values),
        st.tuples(st.just("rows"), ordinals, ages, values),
        st.tuples(st.just("time"), ordinals, ages, st.none()),
        st.tuples(st.just("jump to the due"), ordinals, ages, st.none()),
        st.tuples(st.just("expire"), ordinals, ages, st.none()),
        st.tuples(st.just("clear"), ordinals, ages, st.none()),
    ),
    max_size=50,
)


def needs_a_look(before: Seen, after: Seen) -> bool:
    """Tell whether who looked at a leaf before a row has to look again."""
    earlier = after[2] is not None and (before[2] is None or after[2] < before[2])
    return earlier or before[:2] != after[:2]


class Run:
    """One leaf beside its twin, in time."""

    def __init__(self, leaf: Leaf, twin: Twin) -> None:
        self.leaf, self.twin, self.now = leaf, twin, START

    def step(self, what: str, ordinal: int, age: int, value: int | None) -> None:
        leaf, twin = self.leaf, self.twin
        if what in ("row", "rows"):
            for number in range(1 if what == "row" else 12):
                occurred = self.now - age + number * 7 % 5
                before = leaf.see(ordinal, self.now)
                changed = leaf.take(ordinal, occurred, value, self.now)
                twin.take(ordinal, occurred, value, self.now)
                assert changed or not needs_a_look(before, self.expected(ordinal))
        elif what == "time":
            self.now += age
        elif what == "jump to the due":
            self.now = max(self.now, leaf.see(ordinal, self.now)[2] or 0)
            leaf.let_go(ordinal, self.now)
        elif what == "expire":
            leaf.let_go(ordinal, self.now)
        else:
            leaf.forget(ordinal)
            twin.rows.pop(ordinal, None)
        assert leaf.see(ordinal, self.now) == self.expected(ordinal)

    def expected(self, ordinal: int) -> Seen:
        return self.twin.see(ordinal, self.now)


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=steps)
def test_a_leaf_says_what_its_rows_say(
    kind: str, drawn: list[tuple[str, int, int, int | None]]
) -> None:
    run = Run(*KINDS[kind]())
    for what, ordinal, age, value in drawn:
        run.step(what, ordinal, age, value)
        for other in (1, 2, 3, 70_000, 2**32 - 2):
            assert run.leaf.see(other, run.now) == run.expected(other)
    for other in (1, 2, 3, 70_000, 2**32 - 2):
        run.leaf.let_go(other, run.now)
    assert len(run.leaf) == sum(run.twin.has_state(other, run.now) for other in run.twin.rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gap", [1, 1000])
def test_many_ordinals_keep_apart(kind: str, gap: int) -> None:
    drawn = random.Random(gap)
    run = Run(*KINDS[kind]())
    for _ in range(4000):
        ordinal = drawn.randrange(400) * gap
        run.step("row", ordinal, drawn.randrange(12), drawn.randrange(-9, 9))
        if drawn.random() < 0.1:
            run.now += 1
            run.step(drawn.choice(("expire", "clear", "time")), ordinal, 0, None)
    for ordinal in range(0, 400 * gap, gap):
        assert run.leaf.see(ordinal, run.now) == run.expected(ordinal)
    assert run.leaf.dense == (gap == 1)


def test_a_row_leaves_at_exactly_its_time_and_the_window() -> None:
    for leaf in (Window(10), Newest(10, 1), Newest(10, 3)):
        leaf.take(1, START, 5, START)
        assert leaf.see(1, START)[2] == START + 10
        assert leaf.see(1, START + 9)[0] == 1
        assert leaf.see(1, START + 10)[0] == 0
        leaf.let_go(1, START + 9)
        assert leaf.see(1, START + 9)[0] == 1
        leaf.let_go(1, START + 10)
        assert len(leaf) == 0


def test_a_row_outside_the_window_makes_no_state() -> None:
    for leaf in (Window(10), Newest(10, 1)):
        leaf.take(1, START - 10, 5, START)
        assert len(leaf) == 0
        leaf.take(1, START - 9, 5, START)
        assert leaf.see(1, START) == (1, 5 if isinstance(leaf, Window) else None, START + 1)


def test_sums_go_beyond_64_bits_and_come_back() -> None:
    total, window = Total(), Window(10)
    for leaf in (total, window):
        for number in range(5):
            leaf.take(1, START + number, LIMIT, START)
        assert leaf.see(1, START)[1] is None
    assert window.see(1, START + 13)[1] == LIMIT
    window.let_go(1, START + 13)
    assert window.see(1, START + 13) == (1, LIMIT, START + 14)
    for _ in range(5):
        total.take(1, START, -LIMIT, START)
    assert total.see(1, START)[1] == 0
    for _ in range(2):
        total.take(1, START, -LIMIT, START)
    assert total.see(1, START)[1] is None
    total.take(1, START, LIMIT, START)
    assert total.see(1, START)[1] == -LIMIT
    total.take(1, START, -1, START)
    assert total.see(1, START)[1] is None


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
@pytest.mark.parametrize("summed", [True, False])
def test_rows_may_come_in_any_order(order: str, summed: bool) -> None:  # noqa: FBT001
    leaf, twin = Window(5000, summed=summed), Twin(5000, summed=summed)
    times = [START - number for number in range(3000)]
    if order == "ascending":
        times.reverse()
    elif order == "shuffled":
        random.Random(1).shuffle(times)
    for occurred in times:
        leaf.take(1, occurred, occurred % 7 - 3, START)
        twin.take(1, occurred, occurred % 7 - 3, START)
    for horizon in range(START, START + 5100, 97):
        assert leaf.see(1, horizon) == twin.see(1, horizon)
        leaf.let_go(1, horizon)
        assert leaf.see(1, horizon) == twin.see(1, horizon)
    assert len(leaf) == 0


def test_the_armed_due_stays_with_the_rows_and_goes_with_them() -> None:
    for leaf in (Window(10), Newest(10, 2)):
        assert leaf.armed_ms(1) is None
        assert not leaf.arm(1, 7)
        leaf.take(1, START, 1, START)
        assert leaf.armed_ms(1) == 0
        assert leaf.arm(1, START + 10)
        for ordinal in range(2, 3000):
            leaf.take(ordinal * 1000, START, 1, START)
        leaf.take(1, START + 1, 1, START)
        leaf.let_go(1, START + 10)
        assert leaf.armed_ms(1) == START + 10
        leaf.let_go(1, START + 11)
        assert leaf.armed_ms(1) is None
        leaf.take(1, START + 11, 1, START + 11)
        assert leaf.armed_ms(1) == 0
    assert Total().armed_ms(1) is None


def test_memory_is_small_and_is_given_back() -> None:
    sizes = {}
    for name, leaf in (("newest", Newest(9, 1)), ("total", Total()), ("window", Window(9))):
        for ordinal in range(10_000):
            leaf.take(ordinal, START, 1, START)
        sizes[name] = leaf.memory_bytes / 10_000
    assert sizes["newest"] < 16.2 * 1.5
    assert sizes["total"] < 16.2 * 1.5
    assert sizes["window"] < 56.2 * 1.5
    leaf = Window(1000)
    for number in range(1000):
        leaf.take(1, START + number, 1, START)
    full = leaf.memory_bytes
    assert full < 1000 * 16 * 1.7
    leaf.let_go(1, START + 1900)
    assert leaf.memory_bytes < full / 4
    leaf.let_go(1, START + 1998)
    few = leaf.memory_bytes
    leaf.forget(1)
    assert leaf.memory_bytes == few


def test_times_before_1970_and_endless_windows_are_kept() -> None:
    for leaf in (Newest(LIMIT, 1), Window(LIMIT)):
        leaf.take(1, -5, 1, 0)
        leaf.take(1, 5, 1, 0)
        assert leaf.see(1, 0)[0] == min(2, leaf.most)
        assert leaf.see(1, 0)[2] in (None, LIMIT - 5)


def test_what_makes_no_leaf_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 ms"):
        Window(0)
    with pytest.raises(ValueError, match="1 to 16 times"):
        Newest(10, 17)
    with pytest.raises(TypeError, match="expected Total"):
        Leaf()
