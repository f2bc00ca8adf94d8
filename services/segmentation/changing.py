"""How saved audiences change: a next version, its activation, the way back, and removal.

Every change goes through the inbound log, and is checked once more where the log puts it: of two
that exclude each other the first one there wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from segcore.rule_json import to_json
from services.kit.errors import Conflict, FailedPrecondition, NotFound, invalid_field
from services.kit.freshness import Freshness
from services.kit.ids import new_id
from services.segmentation import wire
from services.segmentation.definitions import references_of
from services.segmentation.domain import (
    Audience,
    Definition,
    State,
    Version,
    check_display_name,
)
from services.segmentation.overview import Overview


@dataclass(frozen=True, slots=True)
class AudienceChange:
    """What a caller wants to be different; None leaves it as it is."""

    audience_id: str
    display_name: str | None
    rule_text: str | None
    etag: str
    activate: bool
    request_id: str

    def __post_init__(self) -> None:
        if self.display_name is None and self.rule_text is None:
            raise invalid_field("audience", "nothing that changes", "a display_name or a rule")
        if self.display_name is not None:
            check_display_name(self.display_name)
        if self.rule_text is not None and not self.rule_text.strip():
            raise invalid_field("audience.rule", "nothing", "a rule")


class Changes:
    """The use cases of a definition's later life."""

    def __init__(
        self,
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

    async def update(self, change: AudienceChange) -> tuple[Audience, int]:
        """Propose the next version; a new name alone goes live by itself, as nobody moves by it."""
        async with self._saving:
            if self._was_done(change.audience_id, change.request_id):
                return await self._read(change.audience_id), self._freshness.position
            live = self._changeable(change.audience_id, change.etag)
            coming = replace(
                self._next(live, change.request_id),
                display_name=change.display_name or live.display_name,
                automatic=change.activate or change.rule_text is None,
            )
            if change.rule_text is not None:
                coming = await asyncio.to_thread(self._with_rule, coming, change.rule_text)
            return await self.save(coming)

    async def activate(self, audience_id: str, version: int) -> tuple[Audience, int]:
        """Swap the next version in; the same again is no further change."""
        live = self._overview.known(audience_id)
        if live.version == version and live.state is State.ACTIVE:
            return await self._read(audience_id), self._freshness.position
        found = await self._read(audience_id)
        coming = found.next_version
        if coming is None or coming.definition.version != version:
            raise _no_version(audience_id, version, "is on its way to being live")
        if coming.difference is None:
            message = f"version {version} of audience `{audience_id}` is still being built"
            metadata = {"audience": audience_id, "version": str(version)}
            raise FailedPrecondition("VERSION_BUILDING", f"{message}: try again", metadata)
        position = await self._append(wire.activation(coming.definition, self._now_ms()))
        await self._freshness.wait_for(position)
        if self._overview.known(audience_id).version < version:
            raise _overtaken(audience_id)
        return await self._read(audience_id), position

    async def roll_back(
        self, audience_id: str, version: int, etag: str, request_id: str
    ) -> tuple[Audience, int]:
        """Propose a former version's rule as the next one; it goes live as soon as it is built."""
        async with self._saving:
            if self._was_done(audience_id, request_id):
                return await self._read(audience_id), self._freshness.position
            live = self._changeable(audience_id, etag)
            former = self._former(audience_id, version)
            if self._overview.is_collected(former):
                raise _no_version(audience_id, former.version, "has members that are still kept")
            missing = references_of(former.rule_json) - {
                each.audience_id for each in self._overview.definitions()
            }
            if missing:
                names = ", ".join(sorted(missing))
                message = f"version {former.version} refers to audiences that are no more: {names}"
                raise FailedPrecondition("MISSING_REFERENCE", message, {"missing": names})
            coming = replace(
                self._next(live, request_id),
                display_name=former.display_name,
                rule_text=former.rule_text,
                rule_json=former.rule_json,
                publication_id=former.publication_id,
                published_count=former.published_count,
                restored_version=former.version,
            )
            return await self.save(coming)

    async def versions_before(
        self, audience_id: str, before: int | None, limit: int
    ) -> list[Version]:
        """Return up to `limit` versions, newest first, before a number."""
        coming = (await self._read(audience_id)).next_version
        found = self._overview.versions(audience_id)
        shown = [each for each in found if before is None or each.version < before]
        return [
            coming
            if coming is not None and coming.definition.version == each.version
            else Version(each, 1.0)
            for each in shown[:limit]
        ]

    async def delete(self, audience_id: str, etag: str) -> int:
        """Remove an audience; return the position of that. Refused while something refers to it."""
        live = self._overview.known(audience_id)
        self._check_own(live)
        self._check_etag(audience_id, etag)
        self._check_unused(audience_id)
        newest = self._overview.newest(audience_id)
        position = await self._append(wire.deletion(audience_id, newest, self._now_ms()))
        await self._freshness.wait_for(position)
        if self._overview.find(audience_id) is not None:
            self._check_unused(audience_id)
            raise _overtaken(audience_id)
        return position

    async def save(self, definition: Definition) -> tuple[Audience, int]:
        """Append a version and wait for it; raises Conflict where another was faster."""
        audience_id = definition.audience_id
        position = await self._append(wire.proposal(definition))
        await self._freshness.wait_for(position)
        if not self._was_done(audience_id, definition.input_id):
            raise _overtaken(audience_id)
        return await self._read(audience_id), position

    async def _read(self, audience_id: str) -> Audience:
        return await asyncio.to_thread(self._overview.read, audience_id)

    def _was_done(self, audience_id: str, input_id: str) -> bool:
        if not input_id or self._overview.find(audience_id) is None:
            return False
        return any(each.input_id == input_id for each in self._overview.versions(audience_id))

    def _changeable(self, audience_id: str, etag: str) -> Definition:
        live = self._overview.known(audience_id)
        self._check_own(live)
        self._check_etag(audience_id, etag)
        return self._overview.active(audience_id)

    def _check_own(self, definition: Definition) -> None:
        if definition.owner:
            message = (
                f"audience `{definition.audience_id}` belongs to `{definition.owner}`, and changes"
                " with it alone"
            )
            metadata = {"audience": definition.audience_id, "owner": definition.owner}
            raise FailedPrecondition("AUDIENCE_OWNED", message, metadata)

    def _check_etag(self, audience_id: str, etag: str) -> None:
        if etag and etag != self._overview.read(audience_id).etag:
            message = f"audience `{audience_id}` has changed since the etag was read: read it again"
            raise Conflict("STALE_ETAG", message, {"audience": audience_id})

    def _check_unused(self, audience_id: str) -> None:
        users = self._overview.users(audience_id)
        if users:
            message = f"audience `{audience_id}` is in use by {', '.join(users)}"
            metadata = {"audience": audience_id, "used_by": ",".join(users)}
            raise FailedPrecondition("AUDIENCE_IN_USE", message, metadata)

    def _next(self, live: Definition, request_id: str) -> Definition:
        return replace(
            live.proposed(),
            version=self._overview.newest(live.audience_id) + 1,
            create_ms=self._now_ms(),
            input_id=request_id or new_id(),
            automatic=True,
            restored_version=0,
        )

    def _with_rule(self, definition: Definition, rule_text: str) -> Definition:
        audience_id = definition.audience_id
        if definition.publication_id:
            message = f"audience `{audience_id}` is published from outside, and has no rule"
            raise FailedPrecondition("AUDIENCE_KIND", message, {"audience": audience_id})
        rule_json = to_json(self._overview.compile(rule_text))
        if self._overview.reaches(references_of(rule_json), audience_id):
            expected = f"a rule that does not lead back to `{audience_id}`"
            raise invalid_field("audience.rule", "one that does", expected)
        return replace(definition, rule_text=rule_text, rule_json=rule_json)

    def _former(self, audience_id: str, version: int) -> Definition:
        """Return the version to go back to: this one, or for 0 the one that was live last."""
        versions = self._overview.versions(audience_id)
        former = [each for each in versions if each.state is State.FORMER]
        if version:
            former = [each for each in former if each.version == version]
        if not former:
            raise _no_version(audience_id, version, "was live before")
        return max(former, key=lambda each: each.activate_ms)


def _no_version(audience_id: str, version: int, which: str) -> NotFound:
    wanted = f"version {version}" if version else "version"
    message = f"audience `{audience_id}` has no {wanted} that {which}"
    metadata = {"audience": audience_id, "version": str(version)}
    return NotFound("VERSION_NOT_FOUND", message, metadata)


def _overtaken(audience_id: str) -> Conflict:
    message = f"audience `{audience_id}` was changed by somebody else meanwhile: read it again"
    return Conflict("STALE_ETAG", message, {"audience": audience_id})
