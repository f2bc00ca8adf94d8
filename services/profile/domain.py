"""What is known of one person, as values. The rules by which it came together are in `tables`."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.errors import NotFound


@dataclass(frozen=True, slots=True)
class Identity:
    """One identifier of a person."""

    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute with its source; `value` is a serialized `coterie.type.v1.Value`."""

    name: str
    value: bytes
    as_of_ms: int
    change_id: str


@dataclass(frozen=True, slots=True)
class Consent:
    """What was said of one channel; channel and status are numbers of the proto's enums."""

    channel: int
    status: int
    as_of_ms: int
    change_id: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One person."""

    profile_id: int
    identities: tuple[Identity, ...]
    attributes: tuple[Attribute, ...]
    consents: tuple[Consent, ...]
    preferred_channel: int
    event_count: int
    create_ms: int
    merged_profile_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """The place of an event on a timeline: by its own time, then by receipt, then by id."""

    occurred_ms: int
    received_ms: int
    event_id: str


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One event; `event` is a serialized `coterie.type.v1.Event`."""

    moment: Moment
    event: bytes


def nobody() -> NotFound:
    """Return the error for a person that is not known; it does not repeat who was asked for."""
    return NotFound("PROFILE_NOT_FOUND", "expected a known identifier or profile id, found neither")
