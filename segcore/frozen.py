"""A question to the whole history that is answered as of the instant at which it was asked.

It goes in slices, and inputs go on between them. Before a person changes for the first time the
question is answered for that person by itself; of all others the columns say what they said then.
Audiences and who is known are copied when it is asked: a bit for each profile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from segcore._batch import Batch
from segcore._bits import Bits
from segcore._definitions import DefinitionEngine
from segcore._selection import Selection
from segcore.kinds import check_rule
from segcore.nodes import audiences_in
from segcore.rule import All, AnyOf, Expression, Not
from segcore.select import Progress, Question, members_of

Rest = Callable[[Callable[[], Any] | None], Any]
"""Gives the engine back for a while, and does meanwhile what needs none, if anything."""

_Test = Callable[[int, frozenset[str]], bool]
SLICE_BLOCKS = 8
"""Blocks of 4,096 rows of a slice, or what takes as long: 3 ms where rows have a few lines."""

_ASKED = ""
"""The rule itself among those of audiences."""


class FrozenQuestion:
    """Who makes a rule true when this is made, or did at `at_ms`.

    Made by `Engine.ask`; the engine says here whose inputs come next, until it is closed. Time may
    pass without that. All calls are under the lock of the engine's owner, and `rest` gives it back
    for a while. Raises as `select_bits`.
    """

    def __init__(
        self,
        engine: DefinitionEngine,
        rule: Expression,
        at_ms: int | None = None,
        blocks: int = SLICE_BLOCKS,
    ) -> None:
        check_rule(rule)
        self.engine = engine
        self._selection = Selection(engine, at_ms, frozen=blocks)
        self._rules = _with_parents(engine, rule) if at_ms is not None else {_ASKED: rule}
        self._members: Mapping[str, Bits] = {}
        if at_ms is None:
            self._members = {
                each: _copy(members_of(engine, each)) for each in set(audiences_in(rule))
            }
        self._touched = Bits()
        self._held = Bits()

    @property
    def people(self) -> Bits:
        """Who was known when it was asked."""
        return self._selection.known

    def spoil(self) -> None:
        """Say that attributes are forgotten next: the question has to be asked anew."""
        self._selection.spoil()

    def touch_run(self, batch: Batch) -> None:
        """Say that the events of a batch come next."""
        self.touch(self._selection.people_of(batch))

    def touch(self, ordinals: Iterable[int]) -> None:
        """Say that something about people changes next."""
        known = self._selection.known
        coming = [each for each in ordinals if each in known and each not in self._touched]
        if not coming:
            return
        text_count = len(self.engine.texts)
        tests: dict[str, _Test] = {}
        for ordinal in coming:
            self._touched[ordinal] = True
            self._held[ordinal] = self._holds(_ASKED, ordinal, tests)
        self._selection.forget(text_count)

    def answer(self, rest: Rest, progress: Progress | None = None) -> Bits:
        """Return the bits of the members; once.

        `rest` is called between slices, and returns when it may go on; with work that needs no
        engine, it does that meanwhile and returns what it comes to. What it raises ends the
        question. Raises OutgrownError where it has to be asked anew.
        """
        self._selection.rest_by(rest)
        rules = {name: rule for name, rule in self._rules.items() if name != _ASKED}
        with self._selection as selection:
            question = Question(self.engine, selection, progress, self._members, rules)
            found = question.answer(self._rules[_ASKED])
            selection.replace(found, self._touched, self._held)
        return found

    def _holds(self, name: str, ordinal: int, tests: dict[str, _Test]) -> bool:
        """Tell whether a rule holds for somebody of whom nothing has changed yet."""
        rule = self._rules[name]
        if name not in tests:
            tests[name] = _test(self._selection, rule)
        members = frozenset(
            each
            for each in set(audiences_in(rule))
            if (
                self._holds(each, ordinal, tests)
                if self._selection.past
                else ordinal in self._members[each]
            )
        )
        return tests[name](ordinal, members)


def _with_parents(engine: DefinitionEngine, rule: Expression) -> dict[str, Expression]:
    """Return a rule and those of all audiences that it leads to."""
    rules = {_ASKED: rule}
    waiting = audiences_in(rule)
    while waiting:
        each = waiting.pop()
        if each not in rules:
            rules[each] = engine.audience_by_id[each].rule
            waiting += audiences_in(rules[each])
    return rules


def _copy(bits: Bits) -> Bits:
    return Bits.from_bytes(bits.bytes())


def _test(selection: Selection, rule: Expression) -> _Test:
    """Return what tells whether a rule holds for one person; one too wide for that in its parts."""
    try:
        condition = selection.condition(rule)
    except ValueError:
        match rule:
            case All():
                every = [_test(selection, each) for each in rule.operands]
                return lambda ordinal, members: all(each(ordinal, members) for each in every)
            case AnyOf():
                some = [_test(selection, each) for each in rule.operands]
                return lambda ordinal, members: any(each(ordinal, members) for each in some)
            case Not():
                one = _test(selection, rule.operand)
                return lambda ordinal, members: not one(ordinal, members)
            case _:
                raise
    return lambda ordinal, members: selection.holds(condition, ordinal, members)
