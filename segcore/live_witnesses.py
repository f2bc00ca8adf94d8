"""The rows that make a rule hold, found by kernels in an engine's histories.

What `segcore.witnesses` says, as of the instant at which somebody entered: the events that had come
by then, and the windows of that instant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segcore._witness import LIMIT, Clause, Finder
from segcore.changes import Witness
from segcore.engine import Engine
from segcore.nodes import audiences_in
from segcore.rule import All, AnyOf, Expression, Not, Truth
from segcore.speaking import speaking_for

_Place = tuple[int, int]


class _Moment(NamedTuple):
    """Of whom and when a clause is asked."""

    ordinal: int
    horizon_ms: int
    event_limit: int
    members: frozenset[str]


class _Part(NamedTuple):
    """A part of a rule: a clause, or parts of which all or one has to hold.

    A part that is `mute` has no rows that could speak for it.
    """

    mute: bool
    clause: Clause | None = None
    parts: tuple[_Part, ...] = ()
    all_hold: bool = False


class LiveWitnesses:
    """What finds the rows of one rule; for the thread of the engine, which has the rule."""

    def __init__(self, engine: Engine, rule: Expression) -> None:
        self._finder = Finder(engine)
        self._audiences = frozenset(audiences_in(rule))
        self._root = self._part(rule)

    def find(
        self,
        ordinal: int,
        *,
        horizon_ms: int,
        event_limit: int,
        in_audience: Callable[[str], bool],
    ) -> list[Witness]:
        """Return the rows by which the rule holds for a person, newest first, at most `LIMIT`.

        It holds for that person: what is there to prove that is not looked at. `horizon_ms` is the
        last instant whose changes by time have happened, `event_limit` how many events had come.
        """
        members = frozenset(each for each in self._audiences if in_audience(each))
        text_count = self._finder.text_count
        places = _rows(self._root, _Moment(ordinal, horizon_ms, event_limit, members), proven=True)
        rows = sorted((self._finder.row(*each) for each in set(places or ())), reverse=True)
        self._finder.forget(text_count)
        return [
            Witness(newness[2], event_type, newness[0], sku)
            for newness, event_type, sku in rows[:LIMIT]
        ]

    def _part(self, rule: Expression) -> _Part:
        match rule:
            case All() | AnyOf():
                parts = tuple(self._part(each) for each in rule.operands)
                mute = all(each.mute for each in parts)
                return _Part(mute, None, parts, isinstance(rule, All))
            case Truth(operand=inner) | Not(operand=Not(operand=inner)):
                return self._part(inner)
            case Not():
                return _Part(True, self._finder.clause(rule))  # noqa: FBT003  mute
            case _:
                return _Part(not any(speaking_for(rule)), self._finder.clause(rule))


def _rows(part: _Part, moment: _Moment, *, proven: bool) -> list[_Place] | None:
    """Return the rows that speak for a part, None where it does not hold."""
    if proven and part.mute:
        return []
    if part.clause is not None:
        return part.clause.rows(*moment)
    found: list[_Place] = []
    held = part.all_hold
    for each in part.parts:
        rows = _rows(each, moment, proven=proven and part.all_hold)
        if rows is not None:
            found += rows
            held = True
        elif part.all_hold:
            return None
    return found if held else None
