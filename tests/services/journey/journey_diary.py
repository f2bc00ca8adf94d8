"""Journeys and what happens to people, drawn from a seed: short names, so that things meet."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from journey_stage import (
    HOUR,
    Input,
    Partition,
    branch,
    by_audience,
    by_rows,
    change,
    event,
    go_to,
    going_live,
    merge,
    outcome,
    publish,
    send,
    stock,
    stop,
    tick,
    wait,
    wait_for,
)

from coterie.journey.v1 import journey_pb2
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    CatalogField,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    Since,
    TriggerField,
)

START = 1_700_000_000_000
PEOPLE = (1, 2, 70_000, 70_001)
AUDIENCES = ("a", "b", "c")
TYPES = ("view", "buy", "back")
SKUS = ("shoe", "hat")
LENGTHS = (1, HOUR, 2 * HOUR, 5 * HOUR)
STEPS = ("wait", "wait", "until", "for", "for", "branch", "send", "send")
HAPPENINGS = (
    *["event"] * 10,
    *["tick"] * 3,
    *["clock"] * 4,
    *["sent"] * 5,
    *("live", "merge", "stock", "stock", "stop", "publish"),
)


def rows_since(kind: str, since: Since, where: Expression | None = None) -> Expression:
    rows = Rows(Scope.EVENT, (kind,), where=where, since=since)
    return Aggregate(rows, Fold.EXISTS)


SAME_ORDER = Compare(
    Comparison.EQ, EventField("order", Kind.TEXT), TriggerField("order", Kind.TEXT)
)
SOLD_OUT = Compare(Comparison.LE, CatalogField("stock", Kind.NUMBER), Literal(0, Kind.NUMBER))
SAME_ITEM = Aggregate(
    Rows(
        Scope.ITEM,
        ("buy",),
        where=Compare(Comparison.EQ, ItemField("sku", Kind.TEXT), KeyText()),
        since=Since.ENTRY,
    ),
    Fold.EXISTS,
)


class Diary:
    """Draws; `now_ms` and who is left go on as inputs come."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_ms = START
        self.number = 0
        self.people = list(PEOPLE)

    def condition(self, key: int | None) -> Expression:
        leaves: list[Expression] = [InAudience(a) for a in AUDIENCES]
        leaves += [rows_since(kind, Since.ENTRY) for kind in TYPES]
        if key is not None:
            leaves += [rows_since(kind, Since.TRIGGER, SAME_ORDER) for kind in TYPES]
        if key == 2:
            leaves += [SOLD_OUT, SOLD_OUT, SOLD_OUT, SAME_ITEM, SAME_ITEM]
        pair = (self.random.choice(leaves), self.random.choice(leaves))
        shapes = (pair[0], pair[0], Not(pair[0]), All(pair), AnyOf(pair), Not(AnyOf(pair)))
        return self.random.choice(shapes)

    def journey(self) -> tuple[journey_pb2.Journey, dict[str, Any]]:
        """Draw a journey in which every loop has a wait, with its conditions."""
        key = self.random.choice([None, None, 0, 0, 1, 2])
        made, found = self._entry(key)
        names = [f"s{number}" for number in range(self.random.randint(1, 5))]
        for place, name in enumerate(names):
            step, rule = self._step(name, ["", *names[place + 1 :]], key)
            made.steps.append(step)
            found |= rule
        if self._often():
            made.steps.extend([wait("again", 3 * HOUR), go_to("back", self.random.choice(names))])
        if self._often():
            made.exit_rule = "as compiled"
            found["exit"] = self.condition(key)
        if self.random.random() < 0.2:
            made.entry.rule = "as compiled"
            found["entry.rule"] = self.condition(key)
        if self._often():
            made.expires_after.FromMilliseconds(self.random.choice([HOUR, 9 * HOUR, 30 * HOUR]))
        made.entry.reentry = self.random.choice([0, 0, 0, 1, 2])
        if made.entry.reentry == 2:
            made.entry.reentry_after.FromMilliseconds(2 * HOUR)
        return made, found

    def _entry(self, key: int | None) -> tuple[journey_pb2.Journey, dict[str, Any]]:
        if key is None:
            return by_audience(self.random.choice(AUDIENCES)), {}
        made = by_rows(key)
        types = self.random.choice([("view",), ("view", "buy")])
        made.entry.restart_first_wait = key != 1 and self._often()
        if self._often():
            made.entry.max_lateness.FromMilliseconds(HOUR)
        return made, {"entry.rows": Rows(Scope.ITEM if key == 2 else Scope.EVENT, types)}

    def _step(
        self, name: str, later: Sequence[str], key: int | None
    ) -> tuple[journey_pb2.Step, dict[str, Any]]:
        target, length = self.random.choice(later), self.random.choice(LENGTHS)
        match self.random.choice(STEPS):
            case "wait":
                return wait(name, length), {}
            case "until":
                return wait(name, length, after_entry=True), {}
            case "for":
                return wait_for(name, length, target), {f"steps/{name}": self.condition(key)}
            case "branch":
                return branch(name, target), {f"steps/{name}": self.condition(key)}
            case _:
                return send(name), {}

    def next(self, partition: Partition) -> Input:
        """Draw what happens next; a message is answered as the stage has asked for it."""
        self.number += 1
        self.now_ms += self.random.choice([0, 0, 1, HOUR, HOUR, 2 * HOUR])
        kind = self.random.choice(HAPPENINGS)
        found: Input = getattr(self, f"_{kind}")(partition)
        return found

    def _often(self) -> bool:
        return self.random.random() < 0.5

    def _changes(self, person: int, at_ms: int, cause: str) -> list[Any]:
        audiences = self.random.choices(AUDIENCES, k=self.random.choice([0, 1, 1, 2]))
        return [change(a, person, at_ms, entered=self._often(), cause=cause) for a in audiences]

    def _event(self, _: Partition) -> Input:
        person = self.random.choice(self.people)
        late_ms = self.random.choice([None, None, None, 0, HOUR, HOUR + 1, 3 * HOUR])
        return event(
            self.now_ms,
            person,
            self.random.choice(TYPES),
            f"e{self.number}",
            None if late_ms is None else self.now_ms - late_ms,
            self._changes(person, self.now_ms, "EVENT"),
            order=self.random.choice("12"),
            sku=self.random.choice(SKUS),
        )

    def _tick(self, _: Partition) -> Input:
        return tick(self.now_ms)

    def _clock(self, _: Partition) -> Input:
        before_ms = self.now_ms
        self.now_ms += 3 * HOUR
        instants = self.random.choices([1, HOUR, 2 * HOUR, 3 * HOUR], k=3)
        return tick(
            self.now_ms,
            *(
                one
                for at_ms in sorted(instants)
                for one in self._changes(
                    self.random.choice(self.people), before_ms + at_ms, "CLOCK"
                )
            ),
        )

    def _live(self, _: Partition) -> Input:
        members = self.random.sample(self.people, self.random.randint(0, len(self.people)))
        return going_live(self.random.choice(AUDIENCES), members, self.now_ms)

    def _merge(self, partition: Partition) -> Input:
        if len(self.people) == 1:
            return self._event(partition)
        loser = self.people.pop(self.random.randrange(len(self.people)))
        winner = self.random.choice(self.people)
        return merge(self.now_ms, winner, loser, self._changes(winner, self.now_ms, "MERGE"))

    def _sent(self, partition: Partition) -> Input:
        waiting = [each for each in partition.instances() if each.message]
        if not waiting:
            return self._event(partition)
        one = self.random.choice(waiting)
        if one.profile_id not in self.people:
            return tick(self.now_ms)
        state, reason = self.random.choice([(3, ""), (4, "no_consent"), (6, "")])
        return outcome(self.now_ms, one.profile_id, one.message, state, reason)

    def _stock(self, _: Partition) -> Input:
        return stock(self.now_ms, self.random.choice(SKUS), self.random.choice([0.0, 5.0]))

    def _stop(self, _: Partition) -> Input:
        name = self.random.choice(("one", "two", "three"))
        return stop(self.now_ms, name, end_instances=self._often())

    def _publish(self, _: Partition) -> Input:
        journey, found = self.journey()
        name = self.random.choice(("one", "two", "three"))
        return publish(self.now_ms, name, journey, found, self.number + 10)
