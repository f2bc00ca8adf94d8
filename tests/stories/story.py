"""What a story is made of: conditions that say themselves in CEL, journeys, and what arrives."""

from __future__ import annotations

from dataclasses import dataclass, field

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def cel_duration(length_ms: int) -> str:
    return f'duration("{length_ms // SECOND}s")'


@dataclass(frozen=True)
class Rows:
    """At least `least` rows of a type. `where` is a kind of test and its value."""

    kind: str
    items: bool = False
    where: tuple[str, str] = ("", "")
    last_ms: int = 0
    since: str = ""
    least: int = 1

    def text(self) -> str:
        tests = {
            "total": "event.total >= {}",
            "sku": 'item.sku == "{}"',
            "category": 'item.category == "{}"',
            "key": "item.sku == key",
            "same": "event.total == trigger.total",
        }
        test, value = self.where
        where = f".where({tests[test].format(value)})" if test else ""
        last = f".last({cel_duration(self.last_ms)})" if self.last_ms else ""
        since = f".since({self.since})" if self.since else ""
        form = "items" if self.items else "events"
        chain = f'{form}("{self.kind}"){where}{last}{since}'
        return f"{chain}.exists()" if self.least == 1 else f"{chain}.count() >= {self.least}"

    def rows_text(self) -> str:
        return self.text().removesuffix(".exists()")


@dataclass(frozen=True)
class Attr:
    name: str
    value: str

    def text(self) -> str:
        return f'profile.{self.name} == "{self.value}"'


@dataclass(frozen=True)
class Member:
    audience: str

    def text(self) -> str:
        return f'audience("{self.audience}")'


@dataclass(frozen=True)
class TriggerTotal:
    least: int

    def text(self) -> str:
        return f"trigger.total >= {self.least}"


@dataclass(frozen=True)
class SoldOut:
    def text(self) -> str:
        return "catalog(key).stock <= 0"


@dataclass(frozen=True)
class Not:
    part: Condition

    def text(self) -> str:
        return f"!({self.part.text()})"


@dataclass(frozen=True)
class Joined:
    word: str
    parts: tuple[Condition, ...]

    def text(self) -> str:
        return f" {self.word} ".join(f"({part.text()})" for part in self.parts)


Condition = Rows | Attr | Member | TriggerTotal | SoldOut | Not | Joined


@dataclass(frozen=True)
class Step:
    """One step; `action` says which of the fields it has."""

    id: str
    action: str
    length_ms: int = 0
    rule: Condition | None = None
    target: str = ""
    channels: tuple[str, ...] = ()
    purpose: str = "marketing"
    timing: str = "asap"


@dataclass(frozen=True)
class Journey:
    """Entry by `audience` or else by `rows`."""

    id: str
    steps: tuple[Step, ...]
    audience: str = ""
    rows: Rows | None = None
    key: str = "person"
    when: Condition | None = None
    reentry: str = "always"
    reentry_ms: int = 0
    restart: bool = False
    lateness_ms: int | None = None
    exit: Condition | None = None
    expires_ms: int | None = None


@dataclass(frozen=True)
class Item:
    sku: str
    quantity: int = 1


@dataclass(frozen=True)
class Input:
    """What arrives at an instant: an event, attributes, consent, or an item of the catalog."""

    at_ms: int
    kind: str
    ids: tuple[str, ...] = ()
    id: str = ""
    type: str = ""
    time_ms: int = 0
    total: int | None = None
    items: tuple[Item, ...] = ()
    values: tuple[tuple[str, str | None], ...] = ()
    sku: str = ""
    category: str = ""
    stock: int | None = None
    journey: str = ""


@dataclass(frozen=True)
class Story:
    seed: int
    start_ms: int
    end_ms: int
    audiences: dict[str, Condition]
    journeys: dict[str, Journey]
    catalog: tuple[Input, ...]
    inputs: tuple[Input, ...]
    identities: tuple[str, ...]
    restarts: frozenset[int] = field(default=frozenset())


@dataclass(frozen=True, order=True)
class Seen:
    """One thing that can be seen from outside, as plain values: two runs are compared by these."""

    kind: str
    who: str
    name: str
    at_ms: int
    what: tuple[tuple[str, str], ...]
