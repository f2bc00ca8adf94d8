"""Reads of many at once: memberships, members, sets, overlaps; each as of one position."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations_with_replacement

from pyroaring import BitMap

from segcore.rule import Expression
from segcore.rule_json import from_json
from services.kit.errors import NotFound
from services.segmentation.overview import Overview, revision_of
from services.segmentation.selection import select
from services.segmentation.sets import SetTree, audiences_of, held_for, people_of


@dataclass(frozen=True, slots=True)
class People:
    """Some people, as (number of the partition, ordinals), and the positions that it holds for."""

    parts: Sequence[tuple[int, BitMap]]
    revision: str

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(len(people) for _, people in self.parts)


class Reads:
    """The use cases of those who read in bulk; what is computed has threads of its own."""

    def __init__(self, selectors: Executor, overview: Overview) -> None:
        self._overview = overview
        self._selectors = selectors

    async def check(
        self, people: Sequence[int], audience_ids: Sequence[str]
    ) -> tuple[list[list[int] | None], str]:
        """Return for each person the indexes of the audiences that it is in, None for nobody."""
        self._check_active(audience_ids)
        return await asyncio.to_thread(self._check, people, audience_ids)

    async def members(self, audience_id: str, at_ms: int | None) -> People:
        """Return the members of an audience, now or as its present rule had them at an instant."""
        definition = self._overview.active(audience_id)
        self._overview.check_present(at_ms, "time")
        if at_ms is None:
            return await asyncio.to_thread(self._members, audience_id)
        rule = from_json(definition.rule_json)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._selectors, self._selected, rule, at_ms)

    async def combine(self, tree: SetTree) -> People:
        """Return who is in a set."""
        self._check_active(audiences_of(tree))
        return await asyncio.to_thread(self._combine, tree)

    async def overlap(self, audience_ids: Sequence[str]) -> tuple[list[list[int]], str]:
        """Return how many members each two audiences share, as a symmetric matrix."""
        self._check_active(audience_ids)
        return await asyncio.to_thread(self._overlap, audience_ids)

    def _check_active(self, audience_ids: Iterable[str]) -> None:
        for each in sorted(set(audience_ids)):
            self._overview.active(each)

    def _check(
        self, people: Sequence[int], audience_ids: Sequence[str]
    ) -> tuple[list[list[int] | None], str]:
        with self._overview.held() as partitions:
            members = [[each.members(it) for it in audience_ids] for each in partitions]
            places = [self._place(person) for person in people]
            revision = revision_of(partitions)
        found: list[list[int] | None] = []
        for place in places:
            sets = [] if place is None else members[place[0]]
            found.append(
                None
                if place is None
                else [index for index, each in enumerate(sets) if place[1] in each]
            )
        return found, revision

    def _place(self, person: int) -> tuple[int, int] | None:
        """Return where a person is now, as (number of the partition, ordinal); None for nobody."""
        with suppress(NotFound), self._overview.found(person) as (partition, ordinal):
            return partition.number, ordinal
        return None

    def _members(self, audience_id: str) -> People:
        with self._overview.held() as partitions:
            parts = [(each.number, each.members(audience_id)) for each in partitions]
            return People(parts, revision_of(partitions))

    def _selected(self, rule: Expression, at_ms: int) -> People:
        found = [(each, select(each, rule, at_ms)) for each in self._overview.partitions()]
        return People(
            [(each.number, answer.members) for each, answer in found],
            ",".join(f"{each.number}:{answer.facts_seq}" for each, answer in found),
        )

    def _combine(self, tree: SetTree) -> People:
        with self._overview.held() as partitions:
            held = [(each.number, held_for(tree, each)) for each in partitions]
            revision = revision_of(partitions)
        return People([(number, people_of(tree, each)) for number, each in held], revision)

    def _overlap(self, audience_ids: Sequence[str]) -> tuple[list[list[int]], str]:
        size = len(audience_ids)
        shared = [[0] * size for _ in audience_ids]
        with self._overview.held() as partitions:
            sets = [[each.members(it) for it in audience_ids] for each in partitions]
            revision = revision_of(partitions)
        for members in sets:
            for row, column in combinations_with_replacement(range(size), 2):
                shared[row][column] += members[row].intersection_cardinality(members[column])
        for row, column in combinations_with_replacement(range(size), 2):
            shared[column][row] = shared[row][column]
        return shared, revision
