"""Ad hoc questions to the history: who makes an unsaved rule true, now or at an instant before.

Nothing is kept for the rule. Answers come from the tables of events and the columns of attributes
alone, and are those of `segcore.reference` for each known profile.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from pyroaring import BitMap

from segcore import lanes
from segcore._bits import Bits
from segcore._definitions import DefinitionEngine
from segcore._group import Group
from segcore._selection import Selection
from segcore._sets import Set
from segcore.kinds import check_rule
from segcore.plan import comparison_of, holds_conditions, leaf_key, needs_person, take_apart
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    AnyOf,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    Not,
    OneOf,
    Rows,
    Truth,
)

Progress = Callable[[float], None]
"""Is told how much is done, from 0 to 1; what it raises ends the question."""

_NO_END = 1 << 62
_Shared = Mapping["_Compared", tuple[str, list["_Compared"]]]


def select_bits(
    engine: DefinitionEngine,
    rule: Expression,
    at_ms: int | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Bits:
    """Return the bits of the members that `rule` would have; see `Selection` for `at_ms`.

    With `at_ms` other audiences count as their rules of today say of that instant. Long passes over
    columns are shared by `threads`, one for each processor unless it is said; the answer is the
    same. Raises ValueError where the rule is not well formed, KeyError where it speaks of an
    unknown audience.
    """
    check_rule(rule)
    with Selection(engine, at_ms, threads=threads or lanes.usual()) as selection:
        return Question(engine, selection, progress).answer(rule)


def select(
    engine: DefinitionEngine,
    rule: Expression,
    at_ms: int | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> BitMap:
    """Return the members that `rule` would have, as `select_bits`."""
    return BitMap.deserialize(select_bits(engine, rule, at_ms, progress, threads).to_portable())


@dataclass(frozen=True, slots=True)
class Preview:
    """What an unsaved rule would select: how many, how many of other audiences, and some of them.

    The sample is stable: it takes those whose ordinals hash least, whatever was asked before.
    """

    size: int
    overlaps: Mapping[str, int]
    sample: tuple[int, ...]


def preview(
    engine: DefinitionEngine,
    rule: Expression,
    others: Iterable[str] = (),
    sample_size: int = 20,
    progress: Progress | None = None,
) -> Preview:
    """Return how many `rule` selects now, how many of them are in `others`, and a sample of them.

    Raises as `select_bits`; KeyError for an audience that is not active.
    """
    found = Set.from_bits(select_bits(engine, rule, progress=progress))
    overlaps = {
        audience_id: found.common(Set.from_bits(members_of(engine, audience_id)))
        for audience_id in others
    }
    return Preview(found.count, overlaps, sample_of(found.ids(), sample_size))


def sample_of(ids: array[int], size: int) -> tuple[int, ...]:
    """Return the `size` ordinals that hash least, ascending by hash: a stable sample of any set."""
    ordinals = np.frombuffer(ids, np.uint32)
    hashes = ordinals.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0xD6E8FEB86659FD93)
    hashes ^= hashes >> np.uint64(32)
    if size < len(hashes):
        least = np.argpartition(hashes, size)[:size]
        ordinals, hashes = ordinals[least], hashes[least]
    return tuple(int(ordinal) for ordinal in ordinals[np.argsort(hashes)])


def members_of(engine: DefinitionEngine, audience_id: str) -> Bits:
    """Return the members now; KeyError unless the audience is active."""
    audience = engine.audience_by_id[audience_id]
    if not audience.active:
        raise KeyError(audience_id)
    bits: Bits = audience.members
    return bits


@dataclass(frozen=True, slots=True)
class _Compared:
    """What rows come to, compared with a constant; a plan of it for live use would cost more."""

    aggregate: Aggregate
    comparison: Comparison
    threshold: int


def _as_asked(condition: Expression) -> _Compared | Expression:
    compared = comparison_of(condition)
    return condition if compared is None else _Compared(*compared)


def _is_of_attributes(condition: Expression) -> bool:
    """Tell whether one pass over columns of attributes, block by block, decides all of it."""
    match condition:
        case All() | AnyOf():
            return all(_is_of_attributes(operand) for operand in condition.operands)
        case Not():
            return _is_of_attributes(condition.operand)
        case InAudience():
            return False
        case Compare():
            sides: tuple[Expression, ...] = (condition.left, condition.right)
        case _:
            sides = (condition.operand,) if isinstance(condition, OneOf | Truth) else ()
    return not holds_conditions(*sides) and not needs_person(condition)


@dataclass(slots=True)
class Question:
    """What was found for one question, so that nothing is found twice.

    Audiences that are in neither `members` nor, of the past, `rules` are asked of the engine.
    """

    engine: DefinitionEngine
    selection: Selection
    progress: Progress | None
    members: Mapping[str, Bits] = field(default_factory=dict)
    rules: Mapping[str, Expression] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    found: dict[str, Bits] = field(default_factory=dict)

    def answer(self, rule: Expression) -> Bits:
        """Return the bits of those for whom a rule holds."""
        atoms, code, depth = take_apart(rule, _as_asked, _is_of_attributes)
        compared = [atom for atom in atoms if isinstance(atom, _Compared)]
        shared = _by_leaf(compared, across_rules=self.selection.past)
        found = []
        for number, atom in enumerate(atoms):
            found.append(self._atom(atom, shared))
            self.selection.pause()
            if self.progress is not None:
                self.progress((number + 1) / (len(atoms) + 1))
        return self.selection.combine(code, depth, found)

    def _atom(self, atom: _Compared | Expression, shared: _Shared) -> Bits:
        if isinstance(atom, _Compared):
            return self._tally(atom, *shared[atom])
        if isinstance(atom, InAudience):
            return self._member(atom.audience_id)
        if not needs_person(atom):
            return self.selection.having(atom)
        rows = _followed_rows(atom)
        return self.selection.deciding(atom) if rows is None else self.selection.following(rows)

    def _member(self, audience_id: str) -> Bits:
        if audience_id in self.members:
            return self.members[audience_id]
        if not self.selection.past:
            return members_of(self.engine, audience_id)
        if audience_id not in self.found:
            rule = self.rules.get(audience_id)
            rule = self.engine.audience_by_id[audience_id].rule if rule is None else rule
            self.found[audience_id] = self.answer(rule)
        return self.found[audience_id]

    def _tally(self, atom: _Compared, key: str, shared: list[_Compared]) -> Bits:
        group = self.groups.get(key)
        rows, operand = atom.aggregate.rows, atom.aggregate.operand
        if group is None:
            if operand is None:
                exact_to = max(_told_apart(*_count_range(each)[:2]) for each in shared)
                group = self.selection.counts(rows, exact_to)
            else:
                group = self.selection.sums(rows, operand)
            self.groups[key] = group
        return group.passing(*(_sum_range(atom) if operand is not None else _count_range(atom)))


def _followed_rows(condition: Expression) -> Rows | None:
    """Return the rows of which one has to exist, where a single plain test is all that is new."""
    while isinstance(condition, Truth):
        condition = condition.operand
    if not isinstance(condition, Aggregate) or condition.fold is not Fold.EXISTS:
        return None
    rows = condition.rows
    if len(rows.follows) != 1:
        return None
    sides = (replace(rows, follows=()), rows.follows[0].then)
    return rows if all(_is_plain(side) for side in sides) else None


def _is_plain(rows: Rows) -> bool:
    """Tell whether rows are kept by type, `where` and age alone; a key has to be a field."""
    plain = Rows(rows.scope, rows.types, rows.where, rows.last_ms, rows.at, older_ms=rows.older_ms)
    if rows.key is None:
        return rows == plain
    named = isinstance(rows.key, ItemField) or (
        isinstance(rows.key, EventField) and rows.key.name not in ("id", "type")
    )
    return named and rows == replace(plain, key=rows.key)


def _by_leaf(atoms: list[_Compared], *, across_rules: bool) -> _Shared:
    """Return of each atom its rows' key, and all that are over them: one pass serves them all.

    A canonical key takes as long to make as a small answer: rows that are alone of their types and
    window get a number instead, unless other rules too look for theirs.
    """
    shared: dict[str, list[_Compared]] = {}
    keys: dict[_Compared, str] = {}
    alike = Counter(_outline(atom) for atom in atoms)
    for number, atom in enumerate(atoms):
        alone = not across_rules and alike[_outline(atom)] == 1
        keys[atom] = str(number) if alone else leaf_key(atom.aggregate)
        shared.setdefault(keys[atom], []).append(atom)
    return {atom: (key, shared[key]) for atom, key in keys.items()}


def _outline(atom: _Compared) -> tuple[object, ...]:
    """Return what differs between rows that cannot be the same."""
    rows = atom.aggregate.rows
    return rows.scope, frozenset(rows.types), rows.last_ms, atom.aggregate.operand is None


def _count_range(atom: _Compared) -> tuple[int, int, bool]:
    """Return which counts pass: from, to, and whether it is the others that do."""
    least, most = -(-atom.threshold // MICRO), atom.threshold // MICRO
    match atom.comparison:
        case Comparison.GE:
            return least, _NO_END, False
        case Comparison.GT:
            return most + 1, _NO_END, False
        case Comparison.LE:
            return -_NO_END, most, False
        case Comparison.LT:
            return -_NO_END, least - 1, False
        case _:
            return least, most, atom.comparison is Comparison.NE


def _told_apart(low: int, high: int) -> int:
    """Return below which count all counts have to be told apart to see a range."""
    return max(low, high + 1 if high < _NO_END else 0) - 1


def _sum_range(atom: _Compared) -> tuple[int, int, bool]:
    """Return which sums pass, as `_count_range`."""
    most = (1 << 63) - 1
    match atom.comparison:
        case Comparison.GE:
            return atom.threshold, most, False
        case Comparison.GT if atom.threshold == most:
            return 1, 0, False
        case Comparison.GT:
            return atom.threshold + 1, most, False
        case Comparison.LE:
            return -most, atom.threshold, False
        case Comparison.LT:
            return -most, atom.threshold - 1, False
        case _:
            return atom.threshold, atom.threshold, atom.comparison is Comparison.NE
