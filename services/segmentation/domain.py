"""What segmentation speaks of: audiences, memberships, transitions. Pure values and rules."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from segcore import Departed
from services.kit.errors import invalid_field

DISPLAY_NAME_LIMIT = 200  # a line of text on any screen


class State(enum.StrEnum):
    """Whether a version's members can be read, could be read, or never could.

    Whether one that is being built is ready differs from partition to partition, and is asked of
    each.
    """

    BACKFILLING = "backfilling"
    ACTIVE = "active"
    FORMER = "former"
    DISCARDED = "discarded"


class PublishMode(enum.StrEnum):
    """What published members are: all there are, further ones, or none any more."""

    REPLACE = "replace"
    ADD = "add"
    REMOVE = "remove"


class Cause(enum.StrEnum):
    """Why a membership changed."""

    EVENT = "event"
    CLOCK = "clock"
    ATTRIBUTE = "attribute"
    MERGE = "merge"
    DEFINITION = "definition"
    PUBLICATION = "publication"
    UNMERGE = "unmerge"
    ERASURE = "erasure"


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of an audience as it stands in the log. `input_id` is the request that saved it.

    `owner` names what it is a condition of, and is empty for an audience of its own. One that is
    published from outside has a `publication_id` and no rule text. An `automatic` one goes live as
    soon as it is built.
    """

    audience_id: str
    version: int
    display_name: str
    rule_text: str
    rule_json: str
    create_ms: int
    input_id: str
    state: State = State.BACKFILLING
    activate_ms: int = 0
    owner: str = ""
    automatic: bool = True
    restored_version: int = 0
    publication_id: str = ""
    published_count: int = 0

    def proposed(self) -> Definition:
        """Return it as it was before it went live anywhere."""
        return replace(self, state=State.BACKFILLING, activate_ms=0)

    def activated(self, at_ms: int) -> Definition:
        """Return it as live since `at_ms`."""
        return replace(self, state=State.ACTIVE, activate_ms=at_ms)

    def retired(self) -> Definition:
        """Return it as no more live, or as never to be."""
        was_live = self.state is State.ACTIVE
        return replace(self, state=State.FORMER if was_live else State.DISCARDED)


@dataclass(frozen=True, slots=True)
class Difference:
    """Who would enter and leave if a version went live now: how many, and some profile ids."""

    enter_count: int
    exit_count: int
    enter_sample: tuple[int, ...]
    exit_sample: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Version:
    """A version with what can be read of it now; one with a `difference` is ready to go live."""

    definition: Definition
    build_progress: float
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience with what can be read of it now."""

    definition: Definition
    build_progress: float
    member_count: int
    next_version: Version | None = None
    newest_version: int = 1

    @property
    def etag(self) -> str:
        """What changes with every change of the definition."""
        return f'"{self.definition.version}-{self.newest_version}"'


@dataclass(frozen=True, slots=True)
class Change:
    """When and why a membership last changed; times are 0 where there was none."""

    enter_ms: int
    exit_ms: int
    cause: Cause
    cause_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a person takes along to another partition; `records` are by audience."""

    departed: Departed
    records: Mapping[str, Change]


@dataclass(frozen=True, slots=True)
class WitnessRow:
    """A row that made a rule hold; `sku` is empty for a row that is an event."""

    event_id: str
    type: str
    occurred_ms: int
    sku: str


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether one person is in one audience; `change` is None where that never changed."""

    audience_id: str
    profile_id: int
    member: bool
    change: Change | None


@dataclass(frozen=True, slots=True)
class NewAudience:
    """What a caller wants to save."""

    audience_id: str
    display_name: str
    rule_text: str
    request_id: str
    owner: str = ""

    def __post_init__(self) -> None:
        check_display_name(self.display_name)
        if not self.rule_text.strip():
            raise invalid_field("audience.rule", "nothing", "a rule")

    def same_as(self, definition: Definition) -> bool:
        """Tell whether this asks for what `definition` already is."""
        return (self.display_name, self.rule_text, self.audience_id, self.owner) == (
            definition.display_name,
            definition.rule_text,
            definition.audience_id,
            definition.owner,
        )


@dataclass(frozen=True, slots=True)
class CatalogFacts:
    """What the catalog says of one SKU."""

    category: str | None
    brand: str | None
    price: float | None


def entered(former: Change | None, at_ms: int, cause: Cause, cause_id: str, version: int) -> Change:
    """Return the record after an entry at `at_ms`."""
    exit_ms = former.exit_ms if former else 0
    return Change(at_ms, exit_ms, cause, cause_id, version)


def exited(former: Change | None, at_ms: int, cause: Cause, cause_id: str, version: int) -> Change:
    """Return the record after an exit at `at_ms`."""
    enter_ms = former.enter_ms if former else 0
    return Change(enter_ms, at_ms, cause, cause_id, version)


def inherited(winner: Change | None, loser: Change) -> Change:
    """Return the record of a person of whom the other half was a member: that goes on."""
    exit_ms = max(winner.exit_ms if winner else 0, loser.exit_ms)
    return replace(loser, exit_ms=exit_ms)


def united(winner: Change, loser: Change) -> Change:
    """Return the record of a person of whom both halves were members: in since the earlier."""
    return replace(winner, enter_ms=min(winner.enter_ms, loser.enter_ms))


def past(winner: Change | None, loser: Change) -> Change:
    """Return the record of a person of whom neither half is a member: the later one's."""
    if winner is None:
        return loser
    latest = max(winner, loser, key=lambda each: each.exit_ms)
    return replace(latest, enter_ms=max(winner.enter_ms, loser.enter_ms))


def published_attribute(audience_id: str, publication_id: str) -> str:
    """Return the attribute that says of a person whether a publication names the person.

    No schema declares such a name: nobody else writes it.
    """
    return f"audience/{audience_id}/{publication_id}"


def check_display_name(name: str) -> None:
    """Raise InvalidArgument unless people can read it as a name."""
    if not name.strip():
        raise invalid_field("audience.display_name", "nothing", "a name for people")
    if len(name) > DISPLAY_NAME_LIMIT:
        found = f"{len(name)} characters"
        raise invalid_field("audience.display_name", found, f"at most {DISPLAY_NAME_LIMIT}")
