"""Sets in chunks beside pyroaring: every operation, any expression, and the portable format."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from segcore._bits import Bits
from segcore._set_expressions import Operation, evaluate, measure
from segcore._set_portable import from_portable, to_portable
from segcore._sets import Set

EDGES = (0, 1, 15, 16, 31, 32, 33, 63, 64, 95, 96, 97, 255, 256, 257, 4095, 4096, 4097, 65535)
"""Counts at which a chunk takes another form, or a loop over lanes another path."""


@st.composite
def chunks(draw: st.DrawFn) -> BitMap:
    """Draw a part of one chunk: few, a stretch, or every n-th of one with some taken out."""
    key = draw(st.sampled_from((0, 1, 2, 7, 65535))) << 16
    count = draw(st.sampled_from(EDGES))
    step = draw(st.sampled_from((1, 1, 2, 3, 7, 64, 160)))
    start = draw(st.integers(0, 200))
    lows = range(start, min(65536, start + count * step), step)
    loose = draw(st.lists(st.sampled_from((0, 1, 63, 64, 65535)) | st.integers(0, 65535)))
    return BitMap(key + low for low in lows) ^ BitMap(key + low for low in set(loose))


bitmaps = st.lists(chunks(), max_size=3).map(lambda parts: BitMap.union(BitMap(), *parts))


def ours(bitmap: BitMap) -> Set:
    return Set.from_ids(array("I", bitmap))


def theirs(found: Set) -> BitMap:
    ids = found.ids()
    assert list(ids) == sorted(set(ids))
    assert len(found) == found.count == len(ids)
    return BitMap(ids)


@given(bitmaps, bitmaps)
def test_two_sets_combine_as_in_pyroaring(one: BitMap, other: BitMap) -> None:
    left, right = ours(one), ours(other)
    assert theirs(left & right) == one & other
    assert theirs(left | right) == one | other
    assert theirs(left - right) == one - other
    assert left.common(right) == one.intersection_cardinality(other)
    assert (left == right) == (one == other)


@st.composite
def expressions(draw: st.DrawFn, operand_count: int) -> list[int]:
    code = [draw(st.integers(0, operand_count - 1))]
    depth = 1
    for _ in range(draw(st.integers(0, 12))):
        if depth > 1 and draw(st.booleans()):
            code.append(draw(st.sampled_from(tuple(Operation))))
            depth -= 1
        else:
            code.append(draw(st.integers(0, operand_count - 1)))
            depth += 1
    return code + draw(
        st.lists(st.sampled_from(tuple(Operation)), min_size=depth - 1, max_size=depth - 1)
    )


def plainly(code: list[int], operands: list[BitMap]) -> BitMap:
    """Evaluate postfix code one operation after the other: what fused expressions must equal."""
    stack: list[BitMap] = []
    for step in code:
        if step >= 0:
            stack.append(operands[step])
            continue
        right, left = stack.pop(), stack.pop()
        match step:
            case Operation.AND:
                stack.append(left & right)
            case Operation.OR:
                stack.append(left | right)
            case _:
                stack.append(left - right)
    return stack.pop()


@given(st.lists(bitmaps, min_size=4, max_size=4), expressions(4))
def test_an_expression_is_what_its_steps_are(operands: list[BitMap], code: list[int]) -> None:
    expected = plainly(code, operands)
    sets = [ours(one) for one in operands]
    assert theirs(evaluate(code, sets)) == expected
    assert measure(code, sets) == len(expected)


@given(bitmaps, st.booleans())
def test_the_portable_format_goes_both_ways(bitmap: BitMap, runs: bool) -> None:  # noqa: FBT001
    if runs:
        bitmap.run_optimize()
    assert theirs(from_portable(bitmap.serialize())) == bitmap
    assert BitMap.deserialize(to_portable(ours(bitmap))) == bitmap


@given(bitmaps, st.binary(max_size=4), st.integers(0, 200))
def test_bytes_that_are_no_set_are_refused_or_are_one(
    bitmap: BitMap, noise: bytes, at: int
) -> None:
    content = bytearray(bitmap.serialize())
    at = min(at, len(content))
    content[at : at + len(noise)] = noise
    try:
        found = from_portable(bytes(content))
    except ValueError:
        return
    theirs(found)


@given(bitmaps.filter(lambda bitmap: not bitmap or bitmap.max() < 1 << 20), bitmaps)
def test_bits_become_a_set(bitmap: BitMap, other: BitMap) -> None:
    found = Set.from_bits(Bits(bitmap))
    assert theirs(found) == bitmap
    assert theirs(found & ours(other)) == bitmap & other
    assert all(ordinal in found for ordinal in bitmap[:50])
    assert (70_000 in found) == (70_000 in bitmap)


def test_ordinals_have_to_ascend() -> None:
    with pytest.raises(ValueError, match="found 3 at 1"):
        Set.from_ids(array("I", (3, 3)))


@pytest.mark.parametrize("code", [(), (0, 1), (0, -1), (2,), (0, -4), (0, 1, -1, -1)])
def test_code_that_is_no_expression_is_refused(code: tuple[int, ...]) -> None:
    sets = [ours(BitMap((1, 2))), ours(BitMap((2,)))]
    with pytest.raises(ValueError, match="expected"):
        evaluate(code, sets)


def test_a_sparse_set_is_small() -> None:
    sparse = ours(BitMap(range(0, 1 << 20, 1 << 10)))
    assert sparse.memory < 4096
    assert (sparse & sparse).memory < 4096
