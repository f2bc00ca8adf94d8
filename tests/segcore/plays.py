"""Drawn lives of an engine: every kind of step, in any order, over any rules.

A play near the epoch looks at each millisecond; a play of days lies around the edges of local days,
with steps of hours, days and years.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from drawn import attribute_values, events, rules
from drawn_values import day_instants
from hypothesis import strategies as st
from world import World

from segcore.calendar import DAY_MS
from segcore.history import Event
from segcore.rule import Expression

ORDINALS = (1, 2, 3, 63, 64, 130)
IDENTIFIERS = ("crm:1", "email:x")
STEPS = (
    *(("event",) * 7 + ("attributes",) * 3 + ("advance",) * 4),
    *("batch", "ensure", "reload", "crash", "merge", "merge", "divide", "travel", "erase"),
    *("define", "define", "remove", "refuse", "build", "activate", "activate", "ask", "ask_of"),
)
HOUR_MS = 3_600_000
YEAR_MS = 365 * DAY_MS
MOST_RULES = 5


@dataclass
class Play:
    """One world and what is drawn for it. `draw` gives a value of a strategy."""

    world: World
    draw: Callable[[Any], Any]
    of_days: bool = False
    pending: list[str] = field(default_factory=list)
    names: int = 0
    kinds: tuple[str, ...] = STEPS

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def rule(self, *known: str) -> Expression:
        return self.draw(rules(known, local_days=self.of_days))  # type: ignore[no-any-return]

    def begin(self) -> None:
        """Go to the first instant, with some audiences."""
        first_ms = self.draw(day_instants()) if self.of_days else 50
        self.world.advance(first_ms, inclusive=bool(self.pick(0, 1)))
        for _ in range(self.pick(2, 3)):
            self.define()
            self.world.activate(self.pending.pop(0))

    def define(self) -> None:
        if len(self.world.rules) < MOST_RULES:
            rule = self.rule(*self.world.active, *self.pending)
            name = f"a{self.names}"
            self.names += 1
            self.world.add(name, rule)
            self.pending.append(name)

    def event(self) -> Event:
        event: Event = self.draw(events())
        if self.of_days and event.occurred_ms > 4:
            late_ms = self.pick(HOUR_MS, 23 * HOUR_MS, DAY_MS - 1, DAY_MS, 2 * DAY_MS)
            return replace(event, occurred_ms=late_ms)
        return event

    def step_ms(self) -> int:
        if self.of_days and self.pick(0, 1):
            step: int = self.pick(HOUR_MS, 12 * HOUR_MS, 23 * HOUR_MS, DAY_MS, 3 * DAY_MS, YEAR_MS)
            return step + self.pick(-1, 0, 0, 1)
        return int(self.pick(0, 1, 3, 4, 6, 10, 27))

    def free(self) -> list[int]:
        world = self.world
        return sorted({*world.people, *ORDINALS} - world.gone)

    def new(self) -> int:
        """Return an ordinal that nobody has, seldom far from the others."""
        known = {*self.world.people, *self.world.gone}
        return int(self.pick(*(n for n in (70, 200, 201, 202, 4095, 4096) if n not in known)))

    def step(self) -> None:  # noqa: C901
        """Take one drawn step; one that cannot be taken now does nothing."""
        world = self.world
        free = self.free()
        kind = self.pick(*self.kinds)
        ordinal = self.pick(*free) if free else 9
        others = [other for other in free if other != ordinal]
        match kind:
            case "event":
                world.event(ordinal, self.event())
            case "batch":
                count = self.pick(1, 2, 4)
                steps = [(self.pick(*free or (9,)), self.step_ms()) for _ in range(count)]
                world.batch([(each, step_ms % HOUR_MS, self.event()) for each, step_ms in steps])
            case "attributes":
                as_of_ms = world.now_ms - self.pick(-1, 0, 0, 5)
                came_with = self.pick("", *IDENTIFIERS)
                world.attributes(ordinal, self.draw(attribute_values), as_of_ms, came_with)
            case "advance":
                world.advance(self.step_ms(), inclusive=bool(self.pick(0, 1)))
            case "ensure":
                world.ensure(ordinal)
            case "reload":
                world.reload()
            case "crash":
                lost = [(self.pick(*free or (9,)), self.event()) for _ in range(self.pick(0, 1, 3))]
                world.crash([(each, world.real(event)) for each, event in lost])
            case "merge" | "travel" if others:
                loser = self.pick(*others)
                world.merge(ordinal, world.travel(loser) if kind == "travel" else loser)
            case "divide":
                world.divide(ordinal, self.new(), self.pick(IDENTIFIERS[:1], IDENTIFIERS, ("?",)))
            case "erase" if others:
                world.erase(ordinal)
            case "ask" | "ask_of":
                ago_ms = self.pick(0, 1, 4, 10, 30, DAY_MS if self.of_days else 45)
                world.ask(
                    self.rule(*world.active), world.now_ms - ago_ms if kind == "ask_of" else None
                )
            case _:
                self.change_definitions(kind)

    def change_definitions(self, kind: str) -> None:
        """Take a step that is about audiences."""
        world = self.world
        match kind:
            case "define":
                self.define()
            case "build":
                world.build(self.pick(1, 2, 70))
            case "refuse":
                world.refuse(self.rule(*world.active, *self.pending))
            case "activate" if self.pending:
                world.activate(self.pending.pop(0))
            case "remove":
                unused = [name for name in world.rules if not world.is_used(name)]
                if unused:
                    name = self.pick(*unused)
                    world.remove(name)
                    self.pending = [each for each in self.pending if each != name]

    def end(self) -> None:
        """Let all be active, and what is under way come to its end."""
        while self.pending:
            self.world.activate(self.pending.pop(0))
        self.world.reload()
        self.world.advance(40, inclusive=True)
        if self.of_days:
            self.world.advance(2 * YEAR_MS, inclusive=True)
