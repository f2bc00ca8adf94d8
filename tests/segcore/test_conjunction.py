"""Programs as conjunctions say what the programs say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from segcore.conjunction import Conjunction, conjunction_of
from segcore.plan import Logic

Code = tuple[tuple[Logic, int], ...]
ATOMS = 4


def gathered(parts: Sequence[Code], op: Logic) -> Code:
    return (*itertools.chain.from_iterable(parts), (op, len(parts)))


def over(parts: st.SearchStrategy[Code]) -> st.SearchStrategy[Code]:
    several = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        parts.map(lambda code: (*code, (Logic.NEGATE, 0))),
        st.builds(gathered, several, st.sampled_from((Logic.CONJOIN, Logic.DISJOIN))),
    )


codes: st.SearchStrategy[Code] = st.recursive(
    st.one_of(
        st.integers(0, ATOMS - 1).map(lambda atom: ((Logic.PUSH, atom),)),
        st.booleans().map(lambda value: ((Logic.CONSTANT, int(value)),)),
    ),
    over,
    max_leaves=6,
)


def run(code: Code, row: Sequence[bool]) -> bool:
    stack: list[bool] = []
    for op, argument in code:
        if op is Logic.PUSH:
            stack.append(row[argument])
        elif op is Logic.CONSTANT:
            stack.append(bool(argument))
        elif op is Logic.NEGATE:
            stack.append(not stack.pop())
        else:
            parts = [stack.pop() for _ in range(argument)]
            stack.append(all(parts) if op is Logic.CONJOIN else any(parts))
    return stack[0]


def says(found: Conjunction, row: Sequence[bool]) -> bool:
    return all(row[atom] == value for atom, value in found.wanted) != found.negated


@given(codes)
def test_a_conjunction_says_what_its_program_says(code: Code) -> None:
    found = conjunction_of(code)
    for row in itertools.product((False, True), repeat=ATOMS):
        assert found is None or says(found, row) == run(code, row)


def test_what_most_rules_say_is_a_conjunction() -> None:
    both = ((Logic.PUSH, 0), (Logic.PUSH, 1), (Logic.NEGATE, 0), (Logic.CONJOIN, 2))
    assert conjunction_of(both) == Conjunction(((0, True), (1, False)), negated=False)
    either = ((Logic.PUSH, 0), (Logic.PUSH, 1), (Logic.DISJOIN, 2))
    assert conjunction_of(either) == Conjunction(((0, False), (1, False)), negated=True)


def test_what_nobody_or_everybody_is_in_is_left_to_the_program() -> None:
    never = ((Logic.PUSH, 0), (Logic.PUSH, 0), (Logic.NEGATE, 0), (Logic.CONJOIN, 2))
    assert conjunction_of(never) is None
    assert conjunction_of(((Logic.CONSTANT, 1),)) is None
