"""Bits beside a plain set, and beside pyroaring for the portable format."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from segcore._bits import Bits

EDGES = (0, 1, 63, 64, 4095, 4096, 4097, 65535, 65536, 65537, 131071, 131072, 262144, 300000)

ordinals = st.one_of(
    st.sampled_from(EDGES), st.integers(0, 300_000), st.integers(3 * 65536 - 70, 3 * 65536 + 70)
)
stretches = st.tuples(
    ordinals,
    st.sampled_from((1, 2, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 65537)),
    st.sampled_from((1, 2, 3, 17)),
)


@st.composite
def bitmaps(draw: st.DrawFn) -> BitMap:
    made = BitMap(draw(st.lists(ordinals, max_size=20)))
    for first, count, step in draw(st.lists(stretches, max_size=3)):
        made |= BitMap(range(first, first + count * step, step))
    for first, count, step in draw(st.lists(stretches, max_size=1)):
        made -= BitMap(range(first, first + count * step, step))
    if draw(st.booleans()):
        made.run_optimize()
    return made


@given(st.lists(st.tuples(ordinals, st.sampled_from(("in", "out", "turn"))), max_size=60))
def test_bits_hold_what_a_set_holds(steps: list[tuple[int, str]]) -> None:
    bits, twin = Bits(), set[int]()
    for ordinal, step in steps:
        if step == "turn":
            twin ^= {ordinal}
            assert bits.turn(ordinal) == (ordinal in twin)
        else:
            twin = twin | {ordinal} if step == "in" else twin - {ordinal}
            bits[ordinal] = step == "in"
        assert (ordinal in bits) == (ordinal in twin)
        assert ordinal + 1 in bits or ordinal + 1 not in twin
    assert list(bits.ids()) == sorted(twin)
    assert len(bits) == bits.count() == len(twin)
    assert list(Bits.from_bytes(bits.bytes()).ids()) == sorted(twin)
    bits.clear()
    assert bits.count() == bits.memory() == 0
    assert not bits.ids()


@given(bitmaps())
def test_the_portable_format_goes_both_ways(bitmap: BitMap) -> None:
    bits = Bits.from_portable(bitmap.serialize())
    assert bits.ids() == bitmap.to_array()
    written = bits.to_portable()
    assert BitMap.deserialize(written) == bitmap
    assert Bits.from_portable(written).ids() == bits.ids()


@pytest.mark.parametrize("count", [4095, 4096, 4097, 65535, 65536])
@pytest.mark.parametrize("first", [0, 65536, 65536 - 7])
def test_containers_at_their_edges_are_written_as_the_library_writes_them(
    count: int, first: int
) -> None:
    chosen = random.Random(count).sample(range(first, first + 65536), count)
    bitmap = BitMap(chosen, optimize=False)
    assert Bits(bitmap).to_portable() == bitmap.serialize()


@given(bitmaps(), st.data())
def test_what_is_cut_short_or_changed_is_refused_or_another_set(
    bitmap: BitMap, data: st.DataObject
) -> None:
    whole = bitmap.serialize()
    with pytest.raises(ValueError, match="expected"):
        Bits.from_portable(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="expected"):
        Bits.from_portable(whole + b"\0")


def test_what_is_no_roaring_bitmap_is_refused() -> None:
    twice = BitMap([1, 2]).serialize()
    with pytest.raises(ValueError, match="ascending ordinals"):
        Bits.from_portable(twice[:-4] + twice[-2:] + twice[-4:-2])
    with pytest.raises(ValueError, match="a known cookie"):
        Bits.from_portable(bytes(8))
    dense = BitMap(range(0, 20000, 2)).serialize()
    with pytest.raises(ValueError, match="as many"):
        Bits.from_portable(dense[:-8192] + bytes(8192))
    with pytest.raises(ValueError, match="words of 8"):
        Bits.from_bytes(bytes(9))


def test_runs_out_of_order_or_beyond_the_end_are_refused() -> None:
    bitmap = BitMap(range(10, 40)) | BitMap(range(100, 200))
    bitmap.run_optimize()
    whole = bitmap.serialize()
    assert Bits.from_portable(whole).count() == 130
    with pytest.raises(ValueError, match="ascending runs"):
        Bits.from_portable(whole[:-8] + whole[-4:] + whole[-8:-4])
    with pytest.raises(ValueError, match="as many"):
        Bits.from_portable(whole[:-2] + b"\x01\x00")
    with pytest.raises(ValueError, match="ascending runs"):
        Bits.from_portable(whole[:-2] + b"\xff\xff")
