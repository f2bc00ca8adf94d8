"""A journey as it was checked: who enters, and the steps in order."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Key(enum.StrEnum):
    """What distinguishes the instances of one person."""

    PERSON = "person"
    EVENT = "event"
    ITEM = "item"


class Reentry(enum.StrEnum):
    """How often a person may enter with one key."""

    ALWAYS = "always"
    NEVER = "never"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Entry:
    """Who enters: by becoming a member of `audience_id`, else by each new row of `rows`."""

    audience_id: str = ""
    rows: str = ""
    key: Key = Key.PERSON
    rule: str = ""
    reentry: Reentry = Reentry.ALWAYS
    reentry_after_ms: int = 0
    restart_first_wait: bool = False
    max_lateness_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Lets time pass: for `duration_ms` from the step, or until so long `after_entry`."""

    step: str
    duration_ms: int
    after_entry: bool = False


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Waits until a rule holds; after the timeout the journey goes on at `timeout_step`."""

    step: str
    rule: str
    timeout_ms: int
    timeout_step: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """Goes on where a rule holds, else at `else_step`; without one the journey ends."""

    step: str
    rule: str
    else_step: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Asks for a message. Channels, purpose and timing are the numbers of the API's enums."""

    step: str
    campaign: str
    channels: tuple[int, ...]
    template_id: str
    purpose: int = 0
    timing: int = 0


@dataclass(frozen=True, slots=True)
class GoTo:
    """Goes on at another step."""

    step: str
    target: str


@dataclass(frozen=True, slots=True)
class End:
    """Ends the journey, completed."""

    step: str


Step = Wait | WaitFor | Branch | Send | GoTo | End


@dataclass(frozen=True, slots=True)
class Journey:
    """One version of a journey; it never changes."""

    journey_id: str
    version: int
    entry: Entry
    steps: tuple[Step, ...]
    exit_rule: str = ""
    expires_after_ms: int | None = None
    places: dict[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        places = {step.step: place for place, step in enumerate(self.steps)}
        object.__setattr__(self, "places", places)

    def step(self, step_id: str) -> Step:
        """Return the step of that id."""
        return self.steps[self.places[step_id]]

    def after(self, step_id: str) -> str:
        """Return the id of the step that follows; empty after the last."""
        place = self.places[step_id] + 1
        return self.steps[place].step if place < len(self.steps) else ""

    def expire_ms(self, entry_ms: int) -> int | None:
        """Return when an instance of this entry ends wherever it is, None for never."""
        return None if self.expires_after_ms is None else entry_ms + self.expires_after_ms


ENTRY_ROWS = "entry.rows"
ENTRY_RULE = "entry.rule"
EXIT = "exit"


def step_place(step_id: str) -> str:
    """Return the place of a step's rule among the conditions of a journey."""
    return f"steps/{step_id}"


def rules_of(journey: Journey) -> dict[str, str]:
    """Return the text of each condition by its place; entry rows are no condition."""
    rules = {ENTRY_RULE: journey.entry.rule, EXIT: journey.exit_rule}
    for step in journey.steps:
        if isinstance(step, WaitFor | Branch):
            rules[step_place(step.step)] = step.rule
    return {place: text for place, text in rules.items() if text}
