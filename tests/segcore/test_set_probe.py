"""One ordinal looked up in the portable bytes of a set: what the set says, whatever its form."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from segcore import _set_probe

EDGES = (0, 1, 65_535, 65_536, 131_071, 131_072, 262_144, 2**32 - 1)


def dense(start: int, count: int, step: int = 1) -> BitMap:
    return BitMap(range(start, start + count * step, step))


SETS = {
    "empty": BitMap(),
    "edges": BitMap(EDGES),
    "array at its limit": dense(7, 4096, 3),
    "words": dense(7, 4097, 3),
    "one run": dense(70_000, 60_000),
    "runs of three chunks": dense(10, 150_000),
    "runs of many chunks": dense(10, 700_000) | BitMap(EDGES),
    "everything mixed": dense(0, 9000, 7) | dense(65_536, 65_536) | dense(200_000, 100, 2),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("runs", [False, True])
def test_each_form_of_chunk_is_looked_up(name: str, *, runs: bool) -> None:
    people = BitMap(SETS[name])
    if runs:
        people.run_optimize()
    content = people.serialize()
    draw = random.Random(name)
    wanted = [*EDGES, *(draw.randrange(800_000) for _ in range(2_000)), *list(people)[:50]]
    wanted += [min(each + 1, 2**32 - 1) for each in list(people)[-50:]]
    assert [_set_probe.has(content, each) for each in wanted] == [each in people for each in wanted]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 2**32 - 1))
def test_bytes_that_are_no_set_are_read_no_further_than_they_go(
    content: bytes, ordinal: int
) -> None:
    for cookie in (b"", (12346).to_bytes(4, "little"), (12347 | 5 << 16).to_bytes(4, "little")):
        assert _set_probe.has(cookie + content, ordinal) in {True, False}
