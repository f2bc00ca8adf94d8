"""Publishing: a journey is checked whole, its conditions are saved, then a version goes live.

Nothing is live before all of it is; who was refused or cut off may send the same request again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from coterie.journey.v1 import journey_pb2
from coterie.log.v1 import inbound_pb2
from coterie.type.v1 import schema_pb2
from services.journey.appending import Appender
from services.journey.compiling import Compiled, compile_rules
from services.journey.domain.checks import check_fields, check_paths
from services.journey.domain.definition import Journey, Send
from services.journey.names import version_name
from services.journey.store import JourneyStore, StoredVersion
from services.journey.wire import journey_of
from services.kit.errors import (
    FailedPrecondition,
    FieldMistake,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from services.kit.freshness import Freshness
from services.kit.ids import new_id
from services.kit.rules.vocabulary import Vocabulary, from_schema

BUILD_S = 600.0
"""How long the conditions may take to be built: hours of history take seconds."""
FIRST_LOOK_S = 0.01
LONGEST_LOOK_S = 0.5
NUMBERS_TRIED = 100
"""Versions that were begun with other conditions and never went live."""


class Schemas(Protocol):
    """Knows what rules may say of events and attributes."""

    async def schema(self) -> schema_pb2.Schema:
        """Return the schema as the latest write left it."""


class Audiences(Protocol):
    """Keeps audiences."""

    async def audiences(self) -> frozenset[str]:
        """Return the ids of all audiences that rules may name."""

    async def own(self, audience_id: str, rule: str, owner: str) -> bool:
        """Save a condition; return False where the id has another rule already."""

    async def is_active(self, audience_id: str) -> bool:
        """Return whether the members of an audience are complete."""


class Templates(Protocol):
    """Knows the templates."""

    async def has_template(self, template_id: str) -> bool:
        """Return whether there is a template of that id."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Whom publishing asks."""

    schemas: Schemas
    audiences: Audiences
    templates: Templates


@dataclass(frozen=True, slots=True)
class NewJourney:
    """What a caller wants to publish."""

    journey_id: str
    message: journey_pb2.Journey
    request_id: str


class Publisher:
    """Publishes and stops journeys. `latest` reads the last position of the inbound log."""

    def __init__(
        self,
        store: JourneyStore,
        peers: Peers,
        appender: Appender,
        freshness: Freshness,
        latest: Callable[[], int],
    ) -> None:
        self._store = store
        self._peers = peers
        self._appender = appender
        self._freshness = freshness
        self._latest = latest
        self._turns: dict[str, asyncio.Lock] = {}
        self._given: dict[str, int] = {}

    async def check(self, new: NewJourney) -> tuple[journey_pb2.Journey, int]:
        """Return the journey and the version that it would be; raises what `publish` would."""
        await self._catch_up()
        vocabulary = await self._vocabulary()
        version = await self._next_version(new.journey_id)
        journey, _ = await asyncio.to_thread(_checked, new, version, vocabulary)
        await self._check_references(journey, vocabulary)
        return _plain(new.message), version

    async def publish(self, new: NewJourney) -> StoredVersion:
        """Make a journey live as a new version; return it once all partitions have it.

        Raises InvalidArgument with each mistake, FailedPrecondition for what it refers to and is
        not there.
        """
        async with self._turns.setdefault(new.journey_id, asyncio.Lock()):
            await self._catch_up()
            if new.request_id:
                former = await asyncio.to_thread(self._store.version_by_request, new.request_id)
                if former is not None:
                    return _same(former, new)
            return await self._publish(new)

    async def stop(self, journey_id: str, *, end_instances: bool) -> tuple[StoredVersion, int]:
        """Let nobody enter a journey any more; return its newest version and the position."""
        async with self._turns.setdefault(journey_id, asyncio.Lock()):
            await self._catch_up()
            await self._newest(journey_id)
            one = inbound_pb2.Inbound(input_id=new_id())
            one.journey_stop.journey_id = journey_id
            one.journey_stop.end_instances = end_instances
            position = await self._appender.append(one)
            await self._freshness.wait_for(position)
            return await self._newest(journey_id), position

    async def _publish(self, new: NewJourney) -> StoredVersion:
        vocabulary = await self._vocabulary()
        version = await self._next_version(new.journey_id)
        for number in range(version, version + NUMBERS_TRIED):
            journey, compiled = await asyncio.to_thread(_checked, new, number, vocabulary)
            await self._check_references(journey, vocabulary)
            if await self._own(journey, compiled):
                return await self._append(new, number, compiled)
        raise Unavailable("UNAVAILABLE", "no free version was found; send the same request again")

    async def _append(self, new: NewJourney, version: int, compiled: Compiled) -> StoredVersion:
        # From here on the number may be in the log, whatever becomes of this call.
        self._given[new.journey_id] = version
        one = inbound_pb2.Inbound(input_id=new.request_id or new_id())
        publication = one.journey_publication
        publication.journey_id, publication.version = new.journey_id, version
        publication.journey.CopyFrom(_plain(new.message))
        for place, text in compiled.conditions_json.items():
            publication.conditions_json[place] = text
        position = await self._appender.append(one)
        await self._freshness.wait_for(position)
        stored = await asyncio.to_thread(self._store.version_by_request, one.input_id)
        if stored is None:
            raise _reused()
        return _same(stored, new)

    async def _own(self, journey: Journey, compiled: Compiled) -> bool:
        """Save the conditions and wait until each is complete; False where a number is taken."""
        owner = version_name(journey.journey_id, journey.version)
        for audience_id, rule in compiled.owned.items():
            if not await self._peers.audiences.own(audience_id, rule, owner):
                return False
        try:
            async with asyncio.timeout(BUILD_S):
                for audience_id in compiled.owned:
                    await self._built(audience_id)
        except TimeoutError:
            raise Unavailable(
                "UNAVAILABLE",
                f"the conditions are still being built after {BUILD_S:g} seconds;"
                " send the same request again",
            ) from None
        return True

    async def _built(self, audience_id: str) -> None:
        pause_s = FIRST_LOOK_S
        while not await self._peers.audiences.is_active(audience_id):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_LOOK_S)

    async def _catch_up(self) -> None:
        await self._freshness.wait_for(await asyncio.to_thread(self._latest))

    async def _vocabulary(self) -> Vocabulary:
        schema = await self._peers.schemas.schema()
        return from_schema(schema, await self._peers.audiences.audiences())

    async def _next_version(self, journey_id: str) -> int:
        stored = await asyncio.to_thread(self._store.version, journey_id)
        last = stored.publication.version if stored is not None else 0
        return max(last, self._given.get(journey_id, 0)) + 1

    async def _newest(self, journey_id: str) -> StoredVersion:
        found = await asyncio.to_thread(self._store.version, journey_id)
        if found is None:
            raise journey_not_found(journey_id)
        return found

    async def _check_references(self, journey: Journey, vocabulary: Vocabulary) -> None:
        """Raise FailedPrecondition that names everything the journey refers to and is not there."""
        missing: list[tuple[str, str]] = []
        entry = journey.entry
        if entry.audience_id and entry.audience_id not in vocabulary.audiences:
            missing.append(("journey.entry.audience", f"audiences/{entry.audience_id}"))
        known: dict[str, bool] = {}
        for place, step in enumerate(journey.steps):
            if isinstance(step, Send):
                if step.template_id not in known:
                    has = await self._peers.templates.has_template(step.template_id)
                    known[step.template_id] = has
                if not known[step.template_id]:
                    path = f"journey.steps[{place}].send.template"
                    missing.append((path, f"templates/{step.template_id}"))
        if missing:
            raise _missing(missing)


def journey_not_found(journey_id: str) -> NotFound:
    """Return the error for a journey that is not there."""
    message = f"there is no journey `{journey_id}`"
    return NotFound("JOURNEY_NOT_FOUND", message, {"journey": journey_id})


def _checked(new: NewJourney, version: int, vocabulary: Vocabulary) -> tuple[Journey, Compiled]:
    """Return the journey with its rules compiled; raises InvalidArgument with every mistake."""
    mistakes: list[FieldMistake] = []
    journey = journey_of(new.journey_id, version, new.message, mistakes)
    mistakes += check_fields(journey, new.message.display_name)
    if not mistakes:
        mistakes += check_paths(journey)
    compiled = compile_rules(journey, vocabulary)
    mistakes += compiled.mistakes
    if mistakes:
        first = mistakes[0]
        count = len(mistakes)
        raise InvalidArgument(
            "INVALID_DEFINITION",
            f"{first.field}: {first.description}"
            + (f" (and {count - 1} more mistakes)" if count > 1 else ""),
            {"field": first.field, "mistakes": str(count)},
            tuple(mistakes),
        )
    return journey, compiled


def _plain(message: journey_pb2.Journey) -> journey_pb2.Journey:
    """Return the journey without what only answers have, and without what nothing here knows."""
    plain = journey_pb2.Journey()
    plain.CopyFrom(message)
    for field in ("name", "version", "open", "publish_time"):
        plain.ClearField(field)
    plain.DiscardUnknownFields()
    return plain


def _same(former: StoredVersion, new: NewJourney) -> StoredVersion:
    """Return the first answer again; only the very same request may have the same id."""
    published = former.publication
    if (published.journey_id, published.journey) != (new.journey_id, _plain(new.message)):
        raise _reused()
    return former


def _reused() -> InvalidArgument:
    return InvalidArgument(
        "REQUEST_ID_REUSED",
        "request_id: expected an id of its own, found one that was used for another request",
        {"field": "request_id"},
    )


def _missing(missing: Sequence[tuple[str, str]]) -> FailedPrecondition:
    mistakes = tuple(FieldMistake(path, f"there is no `{name}`") for path, name in missing)
    path, name = missing[0]
    more = f" (and {len(missing) - 1} more that are not there)" if len(missing) > 1 else ""
    return FailedPrecondition(
        "MISSING_REFERENCE",
        f"{path}: there is no `{name}`{more}",
        {"field": path, "missing": name},
        mistakes,
    )
