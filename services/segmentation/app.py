"""What callers can do with audiences: save, read, explain.

Every change goes through the inbound log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from segcore.explain import Clause, explain
from segcore.rule_json import from_json, to_json
from services.kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from services.kit.freshness import Freshness
from services.kit.ids import new_id, ordinal_of, partition_of, profile_id
from services.kit.rules import compile_rule
from services.kit.rules.supported import check_supported
from services.segmentation import wire
from services.segmentation.domain import Audience, Definition, Membership, NewAudience, State
from services.segmentation.partition import Partition

EXPLAINERS = 2
"""Threads of their own for explanations: a long one takes none from the other reads."""


class Partitions(Protocol):
    """The states of all partitions of this process, as they are now."""

    def __call__(self) -> Sequence[Partition]:
        """Return them in order of their numbers."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one person is in one audience or is not, at one instant."""

    membership: Membership
    clause: Clause
    rule_text: str
    time_ms: int


class Audiences:
    """The use cases of audiences."""

    def __init__(
        self,
        partitions: Partitions,
        freshness: Freshness,
        append: Callable[[bytes], Awaitable[int]],
        now_ms: Callable[[], int],
    ) -> None:
        self._partitions = partitions
        self._freshness = freshness
        self._append = append
        self._now_ms = now_ms
        self._saving = asyncio.Lock()
        self._explainers = ThreadPoolExecutor(EXPLAINERS, thread_name_prefix="explain")

    async def create(self, new: NewAudience) -> tuple[Audience, int]:
        """Save an audience; return it and its inbound position.

        Raises AlreadyExists, and InvalidArgument for a rule that cannot be run exactly. The caller
        has waited until the schema is as the latest write left it.
        """
        async with self._saving:
            known = self._definition(new.audience_id)
            if known is not None:
                if known.input_id == new.request_id:
                    return self._repeated(new, known), self._freshness.position
                raise _exists(new.audience_id)
            rule = await asyncio.to_thread(self._compile, new.rule_text)
            input_id = new.request_id or new_id()
            pack = wire.proposal(new, rule, input_id, self._now_ms())
            position = await self._append(pack)
            await self._freshness.wait_for(position)
        stored = self._definition(new.audience_id)
        if stored is None:
            raise _reused()
        if stored.input_id != input_id:
            raise _exists(new.audience_id)
        return await self.get(new.audience_id), position

    async def get(self, audience_id: str) -> Audience:
        """Return one audience; raises NotFound."""
        return await asyncio.to_thread(self._read, audience_id)

    async def list_after(self, audience_id: str, limit: int, *, owned: bool) -> list[Audience]:
        """Return up to `limit` audiences, ordered by id, after `audience_id`.

        Those that belong to something are among them only if `owned`.
        """
        ids = sorted(
            each.audience_id
            for each in self.definitions()
            if each.audience_id > audience_id and (owned or not each.owner)
        )
        return [await asyncio.to_thread(self._read, each) for each in ids[:limit]]

    async def membership(self, audience_id: str, person: int) -> Membership:
        """Return whether a profile is in an audience, since when and why."""
        self._active(audience_id)
        return await asyncio.to_thread(self._membership, audience_id, person)

    async def members(self, audience_id: str) -> tuple[list[int], str]:
        """Return ascending profile ids, and the facts positions that they hold for."""
        self._active(audience_id)
        return await asyncio.to_thread(self._members, audience_id)

    async def explain(self, audience_id: str, person: int) -> Explanation:
        """Explain one membership, clause by clause, from the person's whole history."""
        self._active(audience_id)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._explainers, self._explain, audience_id, person)

    def definitions(self) -> list[Definition]:
        """Return all definitions."""
        # The stage adds some meanwhile: a list is a copy made at one go.
        return list(self._partitions()[0].definitions.values())

    def check_known(self, audience_ids: Iterable[str]) -> None:
        """Raise NotFound for the first id that no audience has."""
        for audience_id in sorted(audience_ids):
            self._known(audience_id)

    def _definition(self, audience_id: str) -> Definition | None:
        """Return it as far as all partitions have come: each reads its facts at its own speed."""
        everywhere = [each.definitions.get(audience_id) for each in self._partitions()]
        first = everywhere[0]
        if first is None or all(each and each.state is State.ACTIVE for each in everywhere):
            return first
        return first.proposed()

    def _known(self, audience_id: str) -> Definition:
        definition = self._definition(audience_id)
        if definition is None:
            message = f"there is no audience `{audience_id}`"
            raise NotFound("AUDIENCE_NOT_FOUND", message, {"audience": audience_id})
        return definition

    def _active(self, audience_id: str) -> Definition:
        definition = self._known(audience_id)
        if definition.state is not State.ACTIVE:
            message = f"audience `{audience_id}` is still being built from the history; try again"
            raise FailedPrecondition("AUDIENCE_BACKFILLING", message, {"audience": audience_id})
        return definition

    def _repeated(self, new: NewAudience, known: Definition) -> Audience:
        """Return the first answer again; only the very same request may have the same id."""
        if not new.same_as(known):
            raise _reused()
        return Audience(known.proposed(), 0.0, 0)

    def _compile(self, rule_text: str) -> str:
        partition = self._partitions()[0]
        audiences = frozenset(each.audience_id for each in self.definitions() if not each.owner)
        extensions = tuple(partition.extensions)
        rule = compile_rule(rule_text, wire.vocabulary(extensions, audiences))
        check_supported(rule_text, rule)
        return to_json(rule)

    def _read(self, audience_id: str) -> Audience:
        partitions = self._partitions()
        definition = self._known(audience_id)
        count, progress = 0, 1.0
        for partition in partitions:
            with partition.lock:
                if definition.state is State.ACTIVE:
                    count += len(partition.engine.members(audience_id))
                else:
                    progress = min(progress, partition.build_progress)
        return Audience(definition, progress, count)

    def _membership(self, audience_id: str, person: int) -> Membership:
        with self._found(person) as (partition, ordinal):
            return partition.membership(audience_id, ordinal, profile_id(partition.number, ordinal))

    def _members(self, audience_id: str) -> tuple[list[int], str]:
        people: list[int] = []
        positions = []
        for partition in self._partitions():
            with partition.lock:
                ordinals = partition.engine.members(audience_id)
                positions.append(f"{partition.number}:{partition.facts_seq}")
            people += [profile_id(partition.number, ordinal) for ordinal in ordinals]
        return people, ",".join(positions)

    def _explain(self, audience_id: str, person: int) -> Explanation:
        with self._found(person) as (partition, ordinal):
            whole_id = profile_id(partition.number, ordinal)
            membership = partition.membership(audience_id, ordinal, whole_id)
            history = partition.engine.history(ordinal)
            now_ms, settled = partition.engine.now_ms, partition.engine.settled
            definitions = dict(partition.definitions)
            inside = {
                each
                for each, it in definitions.items()
                if it.state is State.ACTIVE and partition.engine.is_member(each, ordinal)
            }
        rules = {each: from_json(it.rule_json) for each, it in definitions.items()}
        clause = explain(
            rules[audience_id], history, now_ms, inside.__contains__, settled=settled, rules=rules
        )
        return Explanation(membership, clause, definitions[audience_id].rule_text, now_ms)

    @contextmanager
    def _found(self, person: int) -> Iterator[tuple[Partition, int]]:
        """Hold the partition in which a person is now, also one who left for another; say as whom.

        Raises NotFound.
        """
        partitions = self._partitions()
        while True:
            number, ordinal = partition_of(person), ordinal_of(person)
            if number >= len(partitions) or not partitions[number].knows(ordinal):
                raise NotFound("PROFILE_NOT_FOUND", "who: there is no profile with that id")
            partition = partitions[number]
            with partition.lock:
                ordinal = partition.current(ordinal)
                if ordinal not in partition.departures:
                    yield partition, ordinal
                    return
            person = partition.departures[ordinal]


def _exists(audience_id: str) -> AlreadyExists:
    message = f"there is an audience `{audience_id}` already"
    return AlreadyExists("AUDIENCE_EXISTS", message, {"audience": audience_id})


def _reused() -> InvalidArgument:
    return InvalidArgument(
        "REQUEST_ID_REUSED",
        "request_id: expected an id of its own, found one that was used for another request",
        {"field": "request_id"},
    )
