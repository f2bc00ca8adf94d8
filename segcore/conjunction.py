"""Programs over atoms that say no more than that some hold and others do not, or the opposite.

Most rules are such: of a row of bits they need one comparison a word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from segcore.plan import Logic


@dataclass(frozen=True, slots=True)
class Conjunction:
    """All atoms of `wanted` are as it says; or not so, where it is `negated`."""

    wanted: tuple[tuple[int, bool], ...]
    negated: bool

    def opposite(self) -> Conjunction:
        """Return what is true where this is not."""
        return Conjunction(self.wanted, not self.negated)

    def plain(self) -> Conjunction | None:
        """Return the same without negation, None where there is no such."""
        if not self.negated:
            return self
        if len(self.wanted) != 1:
            return None
        ((atom, value),) = self.wanted
        return Conjunction(((atom, not value),), negated=False)


def conjunction_of(code: Iterable[tuple[Logic, int]]) -> Conjunction | None:
    """Return what postfix code comes to; None where that is no conjunction or its opposite."""
    stack: list[Conjunction] = []
    for op, argument in code:
        if op is Logic.PUSH:
            stack.append(Conjunction(((argument, True),), negated=False))
        elif op is Logic.NEGATE:
            stack.append(stack.pop().opposite())
        elif op in (Logic.CONJOIN, Logic.DISJOIN):
            parts = stack[len(stack) - argument :]
            del stack[len(stack) - argument :]
            found = _conjoined(parts, disjoined=op is Logic.DISJOIN)
            if found is None:
                return None
            stack.append(found)
        else:
            return None
    return stack[0]


def _conjoined(parts: list[Conjunction], *, disjoined: bool) -> Conjunction | None:
    """Return what holds where all parts do, or one of them: not all of their opposites."""
    wanted: dict[int, bool] = {}
    for each in parts:
        part = (each.opposite() if disjoined else each).plain()
        if part is None:
            return None
        for atom, value in part.wanted:
            if wanted.setdefault(atom, value) != value:
                return None
    return Conjunction(tuple(wanted.items()), negated=disjoined)
