"""The rules by which one input changes the graph.

An input names identifiers. They are taken by priority, those of one namespace as they came;
identifiers that an attribute brings come after all that are given. Then, in this order:

1. Of two values of one unique namespace the first counts; the other stays where it is, be it
   nowhere.
2. The input belongs to the holder of its first identifier. If that one is new, it joins the first
   profile in the list that differs in no unique value from the new identifiers; failing that, a
   new profile is made.
3. The other new identifiers join that profile, each unless it differs in a unique value or breaks
   a limit.
4. Each other profile in the list, in turn, is compared with what that profile has become by then.
   They are merged, or where they may not be: identifiers of namespaces that are not unique move,
   unique ones stay. Where a limit or an un-merge stands in the way, nothing moves; a link that is
   asked for by name ends what an un-merge holds apart.

The profile that remains of a merge is the one with the identifier of the highest priority, then the
lower id. Every refusal is told once. A merge of profiles of two partitions takes a while: the input
stops there, and goes on from the start when it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.identity.domain.changes import Change, Refused
from services.identity.domain.graph import ORDINAL_BITS, Graph
from services.identity.domain.limits import Limits
from services.identity.domain.namespaces import Identifier, Namespaces
from services.identity.domain.transit import Crossing

UNLINKED = "unlinked"
"""Why two are not linked that an un-merge holds apart."""


class Linked(NamedTuple):
    """Whose an input is and what it changed, in order; `crossing` is what it has to wait for."""

    owner: int
    changes: Sequence[Change]
    crossing: Crossing | None = None


class Linker:
    """Applies the rules to a graph."""

    def __init__(self, graph: Graph, namespaces: Namespaces, limits: Limits) -> None:
        self._graph = graph
        self._namespaces = namespaces
        self._limits = limits
        self._rejoins = False

    def link(
        self,
        given: Sequence[Identifier],
        derived: Sequence[Identifier] = (),
        *,
        rejoins: bool = False,
    ) -> Linked:
        """Link the identifiers of one input.

        `given` has at least one identifier; `derived` are those that attributes bring. What
        `rejoins` is a link that is asked for by name, also of what an un-merge holds apart.
        """
        self._rejoins = rejoins
        ranked = self._namespaces.ranked(given)
        ranked = list(dict.fromkeys((*ranked, *self._namespaces.ranked(derived))))
        accepted, strangers = self._split_strangers(ranked)
        changes: list[Change] = []
        fresh = [one for one in accepted if self._graph.holder(one) is None]
        owner = self._find_owner(accepted[0], accepted, fresh, changes)
        for identifier in fresh:
            self._add(identifier, owner, changes)
        for identifier in accepted:
            other = self._graph.holder(identifier)
            if other is None or other == owner:
                continue
            winner = self._join(identifier, owner, other, changes)
            if isinstance(winner, Crossing):
                return Linked(owner, changes, winner)
            owner = winner
        for identifier in strangers:
            self._refuse(owner, self._graph.holder(identifier) or 0, identifier[0], changes)
        return Linked(owner, changes)

    def _split_strangers(
        self, ranked: Sequence[Identifier]
    ) -> tuple[list[Identifier], list[Identifier]]:
        """Return the identifiers that can be one person's, and the second values of unique ones."""
        first: dict[str, Identifier] = {}
        accepted, strangers = [], []
        for identifier in ranked:
            namespace = identifier[0]
            unique = namespace in self._namespaces.unique
            if unique and first.setdefault(namespace, identifier) != identifier:
                strangers.append(identifier)
            else:
                accepted.append(identifier)
        return accepted, strangers

    def _find_owner(
        self,
        leading: Identifier,
        accepted: Sequence[Identifier],
        fresh: Sequence[Identifier],
        changes: list[Change],
    ) -> int:
        """Return whose the input is; a new leading identifier is given to that profile."""
        holder = self._graph.holder(leading)
        if holder is not None:
            return holder
        for identifier in accepted:
            candidate = self._graph.holder(identifier)
            if candidate is not None and self._welcomes(candidate, leading, fresh):
                changes.append(self._graph.assign(leading, candidate))
                return candidate
        created = self._graph.create(leading)
        changes.append(created)
        return created.profile_id

    def _welcomes(self, profile_id: int, leading: Identifier, fresh: Sequence[Identifier]) -> bool:
        held = self._graph.identifiers_of(profile_id)
        return (
            self._difference(held, fresh) is None
            and self._limits.broken_by((*held, leading)) is None
        )

    def _add(self, identifier: Identifier, owner: int, changes: list[Change]) -> None:
        """Give a new identifier to the owner unless that breaks a rule."""
        if self._graph.holder(identifier) is not None:
            return
        held = self._graph.identifiers_of(owner)
        reason = self._difference(held, (identifier,))
        reason = reason or self._limits.broken_by((*held, identifier))
        if reason is None:
            changes.append(self._graph.assign(identifier, owner))
        else:
            self._refuse(owner, 0, reason, changes)

    def _join(
        self, identifier: Identifier, owner: int, other: int, changes: list[Change]
    ) -> int | Crossing:
        """Bring the identifier's holder and the owner together; return who is the owner then."""
        reason, may_move = self._objection(owner, other)
        if reason is None:
            winner, loser = sorted((owner, other), key=self._seniority)
            if winner >> ORDINAL_BITS != loser >> ORDINAL_BITS:
                return Crossing(winner, loser)
            changes.append(self._graph.merge(winner, loser))
            return winner
        self._refuse(owner, other, reason, changes)
        if may_move and identifier[0] not in self._namespaces.unique:
            self._move(identifier, other, owner, changes)
        return owner

    def _move(self, identifier: Identifier, former: int, owner: int, changes: list[Change]) -> None:
        held = self._graph.identifiers_of(owner)
        reason = self._held_apart((identifier,), held) or self._limits.broken_by(
            (*held, identifier)
        )
        if reason is None:
            changes.append(self._graph.assign(identifier, owner))
        else:
            self._refuse(owner, former, reason, changes)

    def _objection(self, owner: int, other: int) -> tuple[str | None, bool]:
        """Return why the two may not merge, if so, and whether shared identifiers move instead."""
        left = self._graph.identifiers_of(owner)
        right = self._graph.identifiers_of(other)
        difference = self._difference(left, right)
        if difference is not None:
            return difference, True
        return self._limits.broken_by((*left, *right)) or self._held_apart(left, right), False

    def _held_apart(self, left: Sequence[Identifier], right: Sequence[Identifier]) -> str | None:
        """Return why an un-merge keeps the two sides from being one; ends that where it may."""
        separations = self._graph.separations
        pairs = separations.between(left, right)
        if pairs and self._rejoins:
            separations.join(pairs)
            return None
        return UNLINKED if pairs else None

    def _difference(self, left: Sequence[Identifier], right: Sequence[Identifier]) -> str | None:
        """Return the unique namespace of the highest priority in which the two sides differ."""
        unique = self._namespaces.unique
        values = {namespace: value for namespace, value in left if namespace in unique}
        differing = [
            (namespace, value)
            for namespace, value in right
            if values.get(namespace, value) != value
        ]
        return min(differing, key=self._namespaces.rank)[0] if differing else None

    def _seniority(self, profile_id: int) -> tuple[tuple[int, str], int]:
        ranks = map(self._namespaces.rank, self._graph.identifiers_of(profile_id))
        return min(ranks), profile_id

    def _refuse(self, owner: int, other: int, reason: str, changes: list[Change]) -> None:
        refused = Refused(owner, other, reason)
        if self._graph.refuse(refused):
            changes.append(refused)
