"""What callers can do: publish and try templates, look messages up, block addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from coterie.log.v1 import definition_pb2, inbound_pb2
from coterie.messaging.v1 import template_pb2
from services.kit.errors import (
    Conflict,
    FailedPrecondition,
    FieldMistake,
    InvalidArgument,
    NotFound,
    invalid_field,
)
from services.kit.freshness import Freshness
from services.kit.ids import new_id
from services.messaging.content import Occasion, content_of, parts_of
from services.messaging.domain.addresses import ADDRESS_LENGTH, is_address
from services.messaging.domain.lanes import Lane
from services.messaging.domain.names import find_mistakes
from services.messaging.rendering.renderer import Renderer, RenderFailed
from services.messaging.store import MessagingStore, Published, Suppression

TEXT_LENGTH = 20_000
HTML_LENGTH = 100_000
LINE_LENGTH = 1_000
NAME_LENGTH = 256

_LENGTHS: Mapping[str, int] = {
    "text": TEXT_LENGTH,
    "email.subject": LINE_LENGTH,
    "email.text": TEXT_LENGTH,
    "email.html": HTML_LENGTH,
    "sms_text": TEXT_LENGTH,
    "push.title": LINE_LENGTH,
    "push.text": TEXT_LENGTH,
}
"""The parts of a template that are Liquid, and how long each may be."""
_LINES = ("display_name", "email.subject", "push.title")
MISTAKES_TOLD = 20


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that the schema declares."""

    attributes: frozenset[str]
    properties: frozenset[str]


class Schemas(Protocol):
    """Knows what is declared."""

    async def vocabulary(self) -> Vocabulary:
        """Return the names that templates may use."""


class Templates:
    """Publishes templates, one after the other, and shows what they say."""

    def __init__(
        self,
        store: MessagingStore,
        renderer: Renderer,
        schemas: Schemas,
        publication: Publication,
    ) -> None:
        self._store = store
        self._renderer = renderer
        self._schemas = schemas
        self._publication = publication
        self._turn = asyncio.Lock()

    async def publish(
        self, template_id: str, template: template_pb2.Template, request_id: str
    ) -> Published:
        """Check a template and make it live as a new version; return it as it is live.

        Raises InvalidArgument with each mistake and its place.
        """
        wanted = _cleaned(template)
        await self._check(wanted)
        async with self._turn:
            input_id = request_id or new_id()
            known = await asyncio.to_thread(self._store.published_by, input_id)
            if known is None:
                newest = await asyncio.to_thread(self._store.newest, template_id)
                version = newest.version + 1 if newest is not None else 1
                await self._publication.append(template_id, version, wanted, input_id)
                known = await asyncio.to_thread(self._store.published_by, input_id)
        if known is None:
            raise Conflict(
                "UNAVAILABLE", f"template {template_id} was published by somebody else: try again"
            )
        if known.template_id != template_id or _cleaned(known.template) != wanted:
            raise InvalidArgument(
                "REQUEST_ID_REUSED",
                "request_id: expected an id of its own, found one of another request",
                {"field": "request_id"},
            )
        return known

    async def get(self, template_id: str) -> Published:
        """Return the newest version; raises NotFound."""
        found = await asyncio.to_thread(self._store.newest, template_id)
        if found is None:
            message = f"there is no template `{template_id}`"
            raise NotFound("TEMPLATE_NOT_FOUND", message, {"template": template_id})
        return found

    async def list_after(self, template_id: str, limit: int) -> list[Published]:
        """Return up to `limit` templates after `template_id`, ordered by id."""
        return await asyncio.to_thread(self._store.templates_after, template_id, limit)

    async def render(
        self, template: template_pb2.Template, template_id: str, profile_id: int, occasion: Occasion
    ) -> template_pb2.Content:
        """Return what a template says to a person now.

        Raises FailedPrecondition where it cannot be made for this person.
        """
        if not template_id:
            template = _cleaned(template)
            await self._check(template)
        data = await asyncio.to_thread(self._store.preview_data, profile_id, occasion)
        parts = parts_of(template, occasion.lane, template_id)
        try:
            rendered = await asyncio.to_thread(self._renderer.render, parts, data)
        except RenderFailed as failure:
            raise FailedPrecondition(
                "RENDER_FAILED",
                f"the template cannot be made for this person: {failure.part}, line {failure.line}:"
                f" {failure.why}",
                {"line": str(failure.line), "part": failure.part},
            ) from None
        return content_of(rendered)

    async def _check(self, template: template_pb2.Template) -> None:
        parts = _parts(template)
        _check_lengths(template, parts)
        try:
            uses = await asyncio.to_thread(self._renderer.names, parts)
        except RenderFailed as failure:
            raise _refused([(failure.part, failure.line, failure.why)]) from None
        vocabulary = await self._schemas.vocabulary()
        mistakes = find_mistakes(uses, vocabulary.attributes, vocabulary.properties)
        if mistakes:
            raise _refused([(each.part, each.line, each.why) for each in mistakes])


class Publication:
    """Takes a version of a template to the log, and waits until the own tables hold it."""

    def __init__(
        self,
        append: Callable[[bytes], Awaitable[int]],
        freshness: Freshness,
        stamp_ms: Callable[[], int],
        traceparent: Callable[[], str],
    ) -> None:
        self._append = append
        self._freshness = freshness
        self._stamp_ms = stamp_ms
        self._traceparent = traceparent

    async def append(
        self, template_id: str, version: int, template: template_pb2.Template, input_id: str
    ) -> None:
        """Return once every partition has passed it."""
        inbound = inbound_pb2.Inbound(
            input_id=input_id,
            received_ms=self._stamp_ms(),
            traceparent=self._traceparent(),
            template_publication=definition_pb2.TemplatePublication(
                template_id=template_id, version=version, template=template
            ),
        )
        pack = inbound_pb2.InboundPack(inputs=[inbound])
        position = await self._append(pack.SerializeToString())
        await self._freshness.wait_for(position)


class Suppressions:
    """Blocks addresses and unblocks them."""

    def __init__(self, store: MessagingStore, stamp_ms: Callable[[], int]) -> None:
        self._store = store
        self._stamp_ms = stamp_ms

    async def suppress(self, lane: Lane, address: str, reason: int) -> int:
        """Block an address; return since when it is."""
        _check_address(lane, address)
        now_ms = self._stamp_ms()
        return await asyncio.to_thread(self._store.suppress, lane, address, reason, now_ms)

    async def unsuppress(self, lane: Lane, address: str) -> bool:
        """Unblock an address; return whether it was blocked."""
        _check_address(lane, address)
        return await asyncio.to_thread(self._store.unsuppress, lane, address)

    async def get(self, lane: Lane, address: str) -> Suppression:
        """Return since when and why an address is blocked; raises NotFound."""
        _check_address(lane, address)
        found = await asyncio.to_thread(self._store.suppression, lane, address)
        if found is None:
            raise NotFound("SUPPRESSION_NOT_FOUND", "this address is not suppressed")
        return found


def _check_address(lane: Lane, address: str) -> None:
    if not is_address(lane, address):
        expected = {
            Lane.EMAIL: "an e-mail address",
            Lane.SMS: "a phone number that begins with +",
        }.get(lane, f"a text of 1 to {ADDRESS_LENGTH} characters")
        raise invalid_field("address", "another form" if address else "nothing", expected)


def _cleaned(template: template_pb2.Template) -> template_pb2.Template:
    """Return the template without what only answers hold and what nothing here knows."""
    copy = template_pb2.Template()
    copy.CopyFrom(template)
    for field in ("name", "version", "publish_time"):
        copy.ClearField(field)
    copy.DiscardUnknownFields()
    return copy


def _parts(template: template_pb2.Template) -> dict[str, str]:
    sources = {
        "text": template.text,
        "email.subject": template.email.subject,
        "email.text": template.email.text,
        "email.html": template.email.html,
        "sms_text": template.sms_text,
        "push.title": template.push.title,
        "push.text": template.push.text,
    }
    return {name: source for name, source in sources.items() if source}


def _check_lengths(template: template_pb2.Template, parts: Mapping[str, str]) -> None:
    if not template.text.strip():
        raise invalid_field("template.text", "nothing", f"1 to {TEXT_LENGTH} characters")
    named = {**parts, "display_name": template.display_name}
    for name, source in named.items():
        limit = _LENGTHS.get(name, NAME_LENGTH)
        if len(source) > limit:
            found = f"{len(source)} characters"
            raise invalid_field(f"template.{name}", found, f"at most {limit} characters")
        if name in _LINES and len(source.splitlines()) > 1:
            raise invalid_field(f"template.{name}", "several lines", "one line")


def _refused(found: list[tuple[str, int, str]]) -> InvalidArgument:
    part, line, why = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return InvalidArgument(
        "INVALID_DEFINITION",
        f"template.{part}, line {line}: {why}{more}",
        {"field": f"template.{part}", "line": str(line)},
        tuple(
            FieldMistake(f"template.{part}", f"line {line}: {why}")
            for part, line, why in found[:MISTAKES_TOLD]
        ),
    )
