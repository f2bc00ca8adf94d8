"""Cells beside a plain dict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore._cells import Cells

ordinals = st.one_of(
    st.integers(0, 40), st.integers(0, 3000), st.integers(0, 2**32 - 2), st.just(2**32 - 2)
)
steps = st.lists(st.tuples(ordinals, st.sampled_from(("write", "write", "drop", "clear"))))
stretches = st.tuples(ordinals, st.integers(0, 300), st.sampled_from((1, 2, 64, 65536)))


def _check(cells: Cells, twin: dict[int, bytes]) -> None:
    assert list(cells.ordinals()) == sorted(twin)
    assert len(cells) == cells.count == len(twin)
    assert all(cells.read(ordinal) == content for ordinal, content in twin.items())


@given(st.sampled_from((1, 4, 16, 24, 48, 100)), st.lists(stretches, max_size=4), steps)
def test_cells_hold_what_a_dict_holds(
    cell_bytes: int, rows: list[tuple[int, int, int]], drawn: list[tuple[int, str]]
) -> None:
    cells, twin = Cells(cell_bytes), dict[int, bytes]()
    for first, count, gap in rows:
        for ordinal in range(first, min(first + count * gap, 2**32 - 1), gap):
            twin[ordinal] = (ordinal % 251 + 1).to_bytes(1, "little") * cell_bytes
            cells.write(ordinal, twin[ordinal])
    for number, (ordinal, step) in enumerate(drawn):
        if step == "write":
            twin[ordinal] = bytes([number % 256]) * cell_bytes
            cells.write(ordinal, twin[ordinal])
        elif step == "drop":
            twin.pop(ordinal, None)
            cells.forget(ordinal)
        elif number % 16 == 0:
            twin.clear()
            cells.clear()
        assert cells.read(ordinal) == twin.get(ordinal)
        assert cells.read(ordinal + 1) == twin.get(ordinal + 1)
    _check(cells, twin)


def test_a_cell_that_was_dropped_is_zero_when_it_is_touched_again() -> None:
    for gap in (1, 1_000_003):
        cells = Cells(1)
        for ordinal in range(0, 1000 * gap, gap):
            cells.write(ordinal, b"\1")
        for ordinal in range(0, 500 * gap, gap):
            cells.forget(ordinal)
        for ordinal in range(0, 500 * gap, gap):
            assert cells.reach(ordinal) == b"\0"
        for ordinal in range(0, 1000 * gap, gap):
            cells.forget(ordinal)
        assert len(cells) == 0
        assert not cells.ordinals()


def test_the_smaller_form_is_taken() -> None:
    cells = Cells(16)
    cells.write(1_000_000, bytes(16))
    assert not cells.dense
    assert cells.memory() < 1000
    for ordinal in range(100_000):
        cells.write(ordinal * 10, bytes(16))
    assert not cells.dense
    for ordinal in range(1_000_000):
        cells.write(ordinal, bytes(16))
    assert cells.dense
    assert cells.memory() < 1_000_000 * 16 * 1.6
    assert len(cells) == 1_000_001


def test_a_large_table_keeps_its_cells_as_it_grows() -> None:
    cells = Cells(48)
    for ordinal in range(400_000):
        cells.write(ordinal, ordinal.to_bytes(48, "little"))
    assert cells.dense
    assert cells.memory() > 2 * (4 << 20)
    assert all(cells.read(at) == at.to_bytes(48, "little") for at in range(0, 400_000, 997))
    assert cells.read(400_000) is None
    cells.write(400_000, bytes(48))
    cells.clear()
    assert cells.memory() == 0


def test_a_stray_ordinal_makes_no_dense_table_huge() -> None:
    cells = Cells(16)
    for ordinal in range(1000):
        cells.write(ordinal, bytes(16))
    assert cells.dense
    cells.write(2**32 - 2, b"x" * 16)
    assert not cells.dense
    assert cells.memory() < 100_000
    assert cells.read(999) == bytes(16)
    assert cells.read(2**32 - 2) == b"x" * 16


def test_a_sparse_table_gives_memory_back() -> None:
    cells = Cells(32)
    for number in range(10_000):
        cells.write(number * 1000, bytes(32))
    full = cells.memory()
    for number in range(9_990):
        cells.forget(number * 1000)
    assert cells.memory() < full // 100
    assert list(cells.ordinals()) == [number * 1000 for number in range(9_990, 10_000)]


def test_what_is_no_ordinal_or_no_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="below"):
        Cells(8).write(2**32 - 1, bytes(8))
    with pytest.raises(ValueError, match="at least a byte"):
        Cells(0)
    with pytest.raises(ValueError, match="expected 8 bytes"):
        Cells(8).write(1, bytes(7))
