"""What journeys mean, as plainly as it can be said: everything in memory, everything looked at.

The oracle of the stage: it reads the same records one by one, keeps no rows, no chunks and no heap,
and looks at every instance after every input.
"""

from __future__ import annotations

import itertools
from typing import Any

from journey_people import Published, Walker, millis, nearest, plain_event
from pyroaring import BitMap

from coterie.journey.v1 import journey_pb2
from coterie.log.v1 import facts_pb2, transitions_pb2
from segcore.history import Event, History
from segcore.instance import CatalogItem, Instance
from segcore.reference import evaluate, nodes_of, rows_of
from segcore.rule import Rows
from segcore.rule_json import from_json
from services.kit.ids import derive_id, profile_id

OUTCOMES = {3: "sent", 4: "discarded", 5: "failed", 6: "unknown", 7: "cancelled"}


class Model:
    """One partition."""

    def __init__(self, partition: int = 0) -> None:
        self.partition = partition
        self.versions: dict[tuple[str, int], Published] = {}
        self.walkers: dict[str, Walker] = {}
        self.members: set[tuple[str, int]] = set()
        self.events: dict[int, list[Event]] = {}
        self.items: dict[str, CatalogItem] = {}
        self.intents: list[tuple[Any, ...]] = []
        self.where = (0, 0)

    # What comes in.

    def read(self, seq: int, facts: Any, transitions: Any) -> None:
        for index, group in itertools.groupby(facts, lambda fact: fact.index):
            self.where = (seq, index)
            self._input(list(group), [each for each in transitions if each.index == index])

    def _input(self, facts: list[facts_pb2.Fact], transitions: list[Any]) -> None:
        now = facts[0].log_time_ms
        clock = [t for t in transitions if t.cause == transitions_pb2.CAUSE_CLOCK]
        for at in sorted({t.at_ms for t in clock}):
            self._pass_time(at - 1)
            self._members([t for t in clock if t.at_ms == at], at, [])
        self._pass_time(now if facts[0].HasField("tick") else now - 1)
        started = []
        for fact in facts:
            started += self._fact(fact, now)
        others = [t for t in transitions if t.cause != transitions_pb2.CAUSE_CLOCK]
        self._members(others, now, started)

    def _members(self, transitions: list[Any], now: int, started: list[Any]) -> None:
        entered = []
        for each in transitions:
            people = [each.profile_id]
            if not each.profile_id:
                ordinals = BitMap.deserialize(each.profile_ordinals)
                people = [profile_id(self.partition, ordinal) for ordinal in ordinals]
            for person in people:
                if each.change == transitions_pb2.CHANGE_ENTERED:
                    self.members.add((each.audience_id, person))
                    entered.append((person, each.audience_id))
                else:
                    self.members.discard((each.audience_id, person))
        self._look_at_all(now)
        for person, audience in dict.fromkeys(entered):
            if (audience, person) in self.members:
                self._enter_by_audience(person, audience, now)
        for person, event in started:
            self._enter_by_event(person, event, now)

    def _fact(self, fact: facts_pb2.Fact, now: int) -> list[Any]:
        match fact.WhichOneof("body"):
            case "event":
                event = plain_event(fact)
                if event.type in self._noted():
                    self.events.setdefault(fact.profile_id, []).append(event)
                return [(fact.profile_id, event)]
            case "catalog_item":
                item = fact.catalog_item
                self.items[item.sku] = CatalogItem(stock=item.stock)
            case "profiles_merged":
                self._merge(fact.profile_id, fact.profiles_merged.merged_profile_id, now)
            case "message_outcome":
                self._answer(fact.message_outcome, now)
            case "journey_publication":
                self._publish(fact.journey_publication)
            case "journey_stop":
                self._stop(fact.journey_stop, now)
            case _:
                pass
        return []

    def _noted(self) -> set[str]:
        """Events count from when some condition first asks for their type."""
        rules = [
            rule
            for each in self.versions.values()
            for place, rule in each.rules.items()
            if place != "entry.rows"
        ]
        nodes = [node for rule in rules for node in nodes_of(rule)]
        return {kind for node in nodes if isinstance(node, Rows) for kind in node.types}

    def _publish(self, new: Any) -> None:
        for (journey, _), each in self.versions.items():
            each.open = each.open and journey != new.journey_id
        rules = {place: from_json(text) for place, text in new.conditions_json.items()}
        self.versions[new.journey_id, new.version] = Published(new.journey, rules)

    def _stop(self, stop: Any, now: int) -> None:
        for (journey, _), each in self.versions.items():
            each.open = each.open and journey != stop.journey_id
        for walker in self._live():
            if walker.journey == stop.journey_id and stop.end_instances:
                self._end(walker, now, "stopped")

    def _merge(self, winner: int, loser: int, now: int) -> None:
        self.members |= {(a, winner) for a, person in self.members if person == loser}
        self.members = {(a, person) for a, person in self.members if person != loser}
        both = self.events.get(winner, []) + self.events.pop(loser, [])
        self.events[winner] = sorted(both, key=lambda e: (e.received_ms, e.event_id))
        for walker in self.walkers.values():
            walker.person = winner if walker.person == loser else walker.person
        mine = [w for w in self._live() if w.person == winner]
        for one, other in itertools.combinations(mine, 2):
            same = (one.journey, one.key) == (other.journey, other.key)
            if same and not one.end and not other.end:
                self._end(max(one, other, key=lambda w: (w.entry, w.id)), now, "merged")

    def _answer(self, outcome: Any, now: int) -> None:
        for walker in self._live():
            if walker.message == outcome.message_id:
                word = OUTCOMES[outcome.state]
                word += f": {outcome.reason}" if outcome.reason else ""
                self._leave(walker, now, word)
                if walker.expire is not None and walker.expire <= now:
                    walker.end = (now, "expired")
                elif self._holds(walker, "exit", now):
                    walker.end = (now, "exit_rule")
                else:
                    self._go(walker, walker.at + 1, now)

    # Entering.

    def _enter_by_audience(self, person: int, audience: str, now: int) -> None:
        seq, index = self.where
        for (journey, version), each in sorted(self.versions.items()):
            if each.open and each.definition.entry.audience == f"audiences/{audience}":
                because = f"{audience}/{seq}/{index}/{now}"
                self._enter(journey, version, person, "", None, because, now)

    def _enter_by_event(self, person: int, event: Event, now: int) -> None:
        for (journey, version), each in sorted(self.versions.items()):
            rows = each.rules.get("entry.rows")
            entry = each.definition.entry
            late = event.received_ms - event.occurred_ms
            in_time = not entry.HasField("max_lateness") or late <= millis(entry.max_lateness)
            if each.open and rows is not None and in_time:
                assert isinstance(rows.rows, Rows)
                found = rows_of(rows.rows, event)
                keys = {0: [""], 1: [event.event_id], 2: [r.item and r.item.sku for r in found]}
                for key in dict.fromkeys(keys[entry.key] if found else []):
                    self._enter(journey, version, person, key or "", event, event.event_id, now)

    def _enter(  # noqa: PLR0913, PLR0917
        self,
        journey: str,
        version: int,
        person: int,
        key: str,
        trigger: Event | None,
        because: str,
        now: int,
    ) -> None:
        published = self.versions[journey, version]
        entry = published.definition.entry
        mine = [
            w
            for w in self.walkers.values()
            if (w.journey, w.person, w.key) == (journey, person, key)
        ]
        for walker in mine:
            if not walker.end and walker.expire is not None and walker.expire <= now:
                self._end(walker, now, "expired")
            if not walker.end:
                self._restart(walker, trigger, now)
                return
        last = max((w.entry for w in mine), default=None)
        if last is not None and entry.reentry == journey_pb2.REENTRY_NEVER:
            return
        if last is not None and entry.reentry == journey_pb2.REENTRY_AFTER:  # noqa: SIM102
            if now - last < millis(entry.reentry_after):
                return
        parts = (journey, str(version), str(person), key, because)
        expire = None
        if published.definition.HasField("expires_after"):
            expire = now + millis(published.definition.expires_after)
        new = Walker(
            derive_id("instance", *parts), journey, version, person, key, now, trigger, expire
        )
        if self._lets_in(new, now):
            self.walkers[new.id] = new
            self._go(new, 0, now)

    def _restart(self, walker: Walker, trigger: Event | None, now: int) -> None:
        definition = self.versions[walker.journey, walker.version].definition
        first = definition.steps[0]
        waits = first.WhichOneof("action") == "wait" and walker.due is not None
        been = all(visit[0] == first.id for visit in walker.visits)
        again = all(visit[3] == "restarted" for visit in walker.visits[:-1])
        if not (definition.entry.restart_first_wait and waits and been and again and trigger):
            return
        if walker.trigger is None or trigger.occurred_ms < walker.trigger.occurred_ms:
            return
        former = (walker.trigger, walker.entry)
        walker.trigger, walker.entry = trigger, now
        if not self._lets_in(walker, now):
            walker.trigger, walker.entry = former
            return
        if walker.expire is not None:
            walker.expire = now + millis(definition.expires_after)
        self._leave(walker, now, "restarted")
        self._go(walker, 0, now)

    def _lets_in(self, walker: Walker, now: int) -> bool:
        rules = self.versions[walker.journey, walker.version].rules
        if "entry.rule" in rules and not self._holds(walker, "entry.rule", now):
            return False
        return not self._holds(walker, "exit", now)

    # Walking.

    def _pass_time(self, until: int) -> None:
        while True:
            due = [(nearest(w), w.id) for w in self._live() if (nearest(w) or until + 1) <= until]
            if not due:
                return
            at, instance = min(due, key=lambda each: (each[0] or 0, each[1]))
            self._fire(self.walkers[instance], at or 0)

    def _fire(self, walker: Walker, now: int) -> None:
        if walker.expire is not None and walker.expire <= now:
            self._end(walker, now, "expired")
            return
        if self._look(walker, now):
            return
        step = self.versions[walker.journey, walker.version].definition.steps[walker.at]
        if step.WhichOneof("action") == "wait":
            self._leave(walker, now, "waited")
            self._go(walker, walker.at + 1, now)
        else:
            self._leave(walker, now, "timed_out")
            target = step.wait_for.timeout_step
            self._go(walker, self._place(walker, target) if target else walker.at + 1, now)

    def _look_at_all(self, now: int) -> None:
        for walker in self._live():
            self._look(walker, now)

    def _look(self, walker: Walker, now: int) -> bool:
        if self._holds(walker, "exit", now):
            self._end(walker, now, "exit_rule")
            return True
        step = self.versions[walker.journey, walker.version].definition.steps[walker.at]
        waits = step.WhichOneof("action") == "wait_for"
        if waits and self._holds(walker, f"steps/{step.id}", now):
            self._leave(walker, now, "held")
            self._go(walker, walker.at + 1, now)
            return True
        return False

    def _go(self, walker: Walker, place: int, now: int) -> None:  # noqa: C901
        steps = self.versions[walker.journey, walker.version].definition.steps
        while place < len(steps):
            walker.at = place
            step = steps[place]
            walker.visits.append([step.id, now, None, "", ""])
            walker.visits = walker.visits[-200:]
            walker.count += 1
            match step.WhichOneof("action"):
                case "wait":
                    until = walker.entry + millis(step.wait.until_after_entry)
                    if step.wait.HasField("duration"):
                        until = now + millis(step.wait.duration)
                    if until > now:
                        walker.due = until
                        return
                    self._leave(walker, now, "passed")
                    place += 1
                case "wait_for":
                    if not self._holds(walker, f"steps/{step.id}", now):
                        walker.due = now + millis(step.wait_for.timeout)
                        return
                    self._leave(walker, now, "held")
                    place += 1
                case "branch":
                    held = self._holds(walker, f"steps/{step.id}", now)
                    self._leave(walker, now, "held" if held else "not_held")
                    if not held and not step.branch.else_step:
                        walker.end = (now, "check_failed")
                        return
                    place = place + 1 if held else self._place(walker, step.branch.else_step)
                case "send":
                    walker.message = derive_id("intent", walker.id, step.id, str(walker.count))
                    walker.visits[-1][4] = walker.message
                    self._want(walker, ("send", walker.message, now, step.id))
                    return
                case "go_to":
                    self._leave(walker, now, "went_on")
                    place = self._place(walker, step.go_to.step)
                case _:
                    self._leave(walker, now, "ended")
                    break
        walker.end = (now, "completed")

    def _end(self, walker: Walker, now: int, reason: str) -> None:
        message = walker.message
        self._leave(walker, now, reason)
        walker.end = (now, reason)
        if message:
            self._want(walker, ("cancel", message, now, reason))

    def _leave(self, walker: Walker, now: int, outcome: str) -> None:
        walker.visits[-1][2:4] = [now, outcome]
        walker.due, walker.message = None, ""

    def _place(self, walker: Walker, step_id: str) -> int:
        steps = self.versions[walker.journey, walker.version].definition.steps
        return [step.id for step in steps].index(step_id)

    def _want(self, walker: Walker, what: tuple[Any, ...]) -> None:
        self.intents.append((*self.where, walker.person, *what))

    def _live(self) -> list[Walker]:
        return sorted((w for w in self.walkers.values() if not w.end), key=lambda w: w.id)

    def _holds(self, walker: Walker, place: str, now: int) -> bool:
        published = self.versions[walker.journey, walker.version]
        if place not in published.rules:
            return False
        key = walker.key if published.definition.entry.key else None
        return (
            evaluate(
                published.rules[place],
                History(events=tuple(self.events.get(walker.person, ()))),
                now,
                lambda audience: (audience, walker.person) in self.members,
                instance=Instance(walker.entry, walker.trigger, None, key, self.items.get),
            )
            is True
        )
