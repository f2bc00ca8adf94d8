"""What the model keeps: people with all that is known of them, their ways, and their messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.stories.story import Journey, Step


@dataclass
class Happening:
    """An event with its rows: SKU and category as the catalog had it."""

    id: str
    type: str
    time_ms: int
    total: int | None
    rows: tuple[tuple[str, str], ...]


@dataclass
class Person:
    ids: set[str] = field(default_factory=set)
    events: list[Happening] = field(default_factory=list)
    attributes: dict[str, tuple[int, int, str | None]] = field(default_factory=dict)
    consent: dict[str, tuple[int, bool]] = field(default_factory=dict)
    preferred: tuple[int, int, str] | None = None
    since: dict[str, int | None] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    entries: dict[tuple[str, str], int] = field(default_factory=dict)

    def value(self, name: str) -> str | None:
        return self.attributes.get(name, (0, 0, None))[2]

    def note(self, name: str, said: tuple[int, int, str | None]) -> None:
        former = self.attributes.get(name)
        if former is None or said[:2] >= former[:2]:
            self.attributes[name] = said

    def agree(self, channel: str, said: tuple[int, bool]) -> None:
        """Take the latest word; of equal times, out (True) wins."""
        self.consent[channel] = max(self.consent.get(channel, said), said)

    def prefer(self, said: tuple[int, int, str] | None) -> None:
        if said and (self.preferred is None or said[:2] >= self.preferred[:2]):
            self.preferred = said


@dataclass
class Message:
    person: Person
    name: str
    step: Step
    asked_ms: int
    due_ms: int | None = None
    state: str = "pending"
    reason: str = ""
    channel: str = ""
    sent_ms: int = 0


@dataclass
class Instance:
    person: Person
    journey: Journey
    key: str
    entry_ms: int
    trigger: Happening | None
    at: int = 0
    due_ms: int | None = None
    message: Message | None = None
    moved: bool = False
    end_ms: int | None = None
    reason: str = ""

    @property
    def step(self) -> Step:
        return self.journey.steps[min(self.at, len(self.journey.steps) - 1)]

    @property
    def expiry_ms(self) -> int | None:
        expires = self.journey.expires_ms
        return None if expires is None or self.end_ms is not None else self.entry_ms + expires
