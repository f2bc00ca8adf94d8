"""Audiences that are published from outside: their members come as inputs of the log, one a person.

A replacement is a version of its own, whose members are those that its publication names: it is
swapped in when all of them are there, and the former members are one roll-back away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from segcore.rule import Attribute, Kind, Truth
from segcore.rule_json import to_json
from services.kit.errors import FailedPrecondition
from services.kit.freshness import Freshness
from services.kit.ids import new_id
from services.segmentation import wire
from services.segmentation.changing import Changes
from services.segmentation.domain import (
    Audience,
    Definition,
    PublishMode,
    check_display_name,
    published_attribute,
)
from services.segmentation.overview import Overview
from services.segmentation.wire import PublishedMember

PACK_MEMBERS = 1_000
"""As many inputs as one record of the log holds."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is published, before the first member."""

    audience_id: str
    display_name: str
    mode: PublishMode
    request_id: str

    def __post_init__(self) -> None:
        if self.display_name:
            check_display_name(self.display_name)


class Publications:
    """The use case of a publisher."""

    def __init__(
        self,
        overview: Overview,
        changes: Changes,
        freshness: Freshness,
        append: Callable[[bytes], Awaitable[int]],
        now_ms: Callable[[], int],
    ) -> None:
        self._overview = overview
        self._changes = changes
        self._freshness = freshness
        self._append = append
        self._now_ms = now_ms

    async def publish(
        self, head: Head, members: AsyncIterator[Sequence[PublishedMember]]
    ) -> tuple[Audience, int, int]:
        """Take members in as they come; return the audience, the last position, how many came."""
        former = self._checked(head)
        request_id = head.request_id or new_id()
        replaces = head.mode is PublishMode.REPLACE
        position, count = 0, 0
        async for part in members:
            for start in range(0, len(part), PACK_MEMBERS):
                pack = wire.published_members(
                    head.audience_id,
                    request_id if replaces else "",
                    part[start : start + PACK_MEMBERS],
                    member=head.mode is not PublishMode.REMOVE,
                    input_id=f"publish/{request_id}/{count + start}",
                    now_ms=self._now_ms(),
                )
                position = await self._append(pack)
            count += len(part)
        if replaces:
            audience, position = await self._replace(head, former, request_id, count)
        else:
            await self._freshness.wait_for(position)
            audience = self._overview.read(head.audience_id)
        return audience, position, count

    async def _replace(
        self, head: Head, former: Definition | None, request_id: str, count: int
    ) -> tuple[Audience, int]:
        """Propose the version that has the members that are in the log by now."""
        audience_id = head.audience_id
        if former is not None:
            for each in self._overview.versions(audience_id):
                if each.input_id == request_id:
                    return self._overview.read(audience_id), self._freshness.position
        rule = Truth(Attribute(published_attribute(audience_id, request_id), Kind.FLAG))
        definition = Definition(
            audience_id,
            self._overview.newest(audience_id) + 1,
            head.display_name or (former.display_name if former else audience_id),
            "",
            to_json(rule),
            self._now_ms(),
            request_id,
            publication_id=request_id,
            published_count=count,
        )
        return await self._changes.save(definition)

    def _checked(self, head: Head) -> Definition | None:
        """Return the audience that there is; raises NotFound where one has to be."""
        audience_id = head.audience_id
        if head.mode is PublishMode.REPLACE and self._overview.find(audience_id) is None:
            return None
        former = self._overview.active(audience_id)
        if not former.publication_id:
            message = f"audience `{audience_id}` has a rule: its members cannot be published"
            raise FailedPrecondition("AUDIENCE_KIND", message, {"audience": audience_id})
        return former
