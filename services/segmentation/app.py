"""What callers can do with audiences: save, read, explain.

Every change goes through the inbound log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

from segcore.explain import Clause, explain
from segcore.flip import smallest_change
from segcore.rule_json import from_json, to_json
from segcore.steps import Step
from services.kit.errors import AlreadyExists, InvalidArgument
from services.kit.freshness import Freshness
from services.kit.ids import new_id, profile_id
from services.segmentation import wire
from services.segmentation.domain import Audience, Definition, Membership, NewAudience, State
from services.segmentation.overview import Overview


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one person is in one audience or is not, at one instant, and what would change that."""

    membership: Membership
    clause: Clause
    definition: Definition
    time_ms: int
    steps: tuple[Step, ...]


class Audiences:
    """The use cases of audiences; explanations are made on threads of their own."""

    def __init__(
        self,
        explainers: Executor,
        overview: Overview,
        freshness: Freshness,
        append: Callable[[bytes], Awaitable[int]],
        now_ms: Callable[[], int],
    ) -> None:
        self._overview = overview
        self._freshness = freshness
        self._append = append
        self._now_ms = now_ms
        self._saving = asyncio.Lock()
        self._explainers = explainers

    async def create(self, new: NewAudience) -> tuple[Audience, int]:
        """Save an audience; return it and its inbound position.

        Raises AlreadyExists, and InvalidArgument for a rule that cannot be run exactly. The caller
        has waited until the schema is as the latest write left it.
        """
        async with self._saving:
            if self._overview.find(new.audience_id) is not None:
                return self._repeated(new), self._freshness.position
            rule = await asyncio.to_thread(self._overview.compile, new.rule_text)
            definition = Definition(
                new.audience_id,
                self._overview.newest(new.audience_id) + 1,
                new.display_name,
                new.rule_text,
                to_json(rule),
                self._now_ms(),
                new.request_id or new_id(),
                owner=new.owner,
            )
            position = await self._append(wire.proposal(definition))
            await self._freshness.wait_for(position)
        stored = self._overview.find(new.audience_id)
        if stored is None:
            raise reused()
        if stored.input_id != definition.input_id:
            raise exists(new.audience_id)
        return await self.get(new.audience_id), position

    def _repeated(self, new: NewAudience) -> Audience:
        """Return the first answer again; only the very same request may have the same id."""
        versions = self._overview.versions(new.audience_id)
        first = next((each for each in versions if each.input_id == new.request_id), None)
        if not new.request_id or first is None:
            raise exists(new.audience_id)
        if not new.same_as(first):
            raise reused()
        return Audience(first.proposed(), 0.0, 0, newest_version=first.version)

    async def get(self, audience_id: str) -> Audience:
        """Return one audience; raises NotFound."""
        return await asyncio.to_thread(self._overview.read, audience_id)

    async def list_after(self, audience_id: str, limit: int, *, owned: bool) -> list[Audience]:
        """Return up to `limit` audiences, ordered by id, after `audience_id`.

        Those that belong to something are among them only if `owned`.
        """
        ids = sorted(
            each.audience_id
            for each in self._overview.definitions()
            if each.audience_id > audience_id and (owned or not each.owner)
        )
        return [await asyncio.to_thread(self._overview.read, each) for each in ids[:limit]]

    async def membership(self, audience_id: str, person: int) -> Membership:
        """Return whether a profile is in an audience, since when and why."""
        self._overview.active(audience_id)
        return await asyncio.to_thread(self._membership, audience_id, person)

    async def explain(self, audience_id: str, person: int) -> Explanation:
        """Explain one membership, clause by clause, from the person's whole history."""
        self._overview.active(audience_id)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._explainers, self._explain, audience_id, person)

    def check_known(self, audience_ids: Iterable[str]) -> None:
        """Raise NotFound for the first id that no audience has."""
        for audience_id in sorted(audience_ids):
            self._overview.known(audience_id)

    def _membership(self, audience_id: str, person: int) -> Membership:
        with self._overview.found(person) as (partition, ordinal):
            return partition.membership(audience_id, ordinal, profile_id(partition.number, ordinal))

    def _explain(self, audience_id: str, person: int) -> Explanation:
        with self._overview.found(person) as (partition, ordinal):
            whole_id = profile_id(partition.number, ordinal)
            membership = partition.membership(audience_id, ordinal, whole_id)
            history = partition.engine.history(ordinal)
            now_ms, settled = partition.engine.now_ms, partition.engine.settled
            zone = partition.engine.zone
            definitions = dict(partition.definitions)
            inside = {
                each
                for each, it in definitions.items()
                if it.state is State.ACTIVE and partition.is_member(each, ordinal)
            }
        rules = {each: from_json(it.rule_json) for each, it in definitions.items()}
        asked = (rules[audience_id], history, now_ms, inside.__contains__)
        clause = explain(*asked, settled=settled, rules=rules, profile_id=whole_id, zone=zone)
        steps = smallest_change(
            *asked, settled=settled, rules=rules, profile_id=whole_id, zone=zone
        )
        return Explanation(membership, clause, definitions[audience_id], now_ms, steps or ())


def exists(audience_id: str) -> AlreadyExists:
    """Return the error for an id that is taken."""
    message = f"there is an audience `{audience_id}` already"
    return AlreadyExists("AUDIENCE_EXISTS", message, {"audience": audience_id})


def reused() -> InvalidArgument:
    """Return the error for a request id that meant something else before."""
    return InvalidArgument(
        "REQUEST_ID_REUSED",
        "request_id: expected an id of its own, found one that was used for another request",
        {"field": "request_id"},
    )
