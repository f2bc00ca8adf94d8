"""Plays a story in plain Python, slowly and obviously, as the manual says it is to be.

Nothing is kept: at each instant at which anything could change, everybody is looked at again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.stories.conditions import Moment, windows
from tests.stories.people import Happening, Instance, Message, Person
from tests.stories.story import HOUR, Condition, Input, Journey, Step, Story

PRIORITY = ("crm", "loyalty", "email", "phone", "ecid")
UNIQUE = ("crm", "loyalty")
ADDRESS = {"email": "email", "sms": "phone", "push": "push_token"}
STEPS_AT_ONCE = 1000


class World(Moment):
    """A story on its way.

    It is `doubtful` where two people became one who had entered a journey at the same instant:
    which of the two instances goes on is said nowhere.
    """

    def __init__(self, story: Story) -> None:
        super().__init__(story)
        self.people: list[Person] = []
        self.holder: dict[str, Person] = {}
        self.seen_events: set[str] = set()
        self.instances: list[Instance] = []
        self.messages: list[Message] = []
        self.doubtful = False
        self.instants = {each.at_ms for each in story.inputs}
        rules: list[Condition | None] = list(story.audiences.values())
        for journey in story.journeys.values():
            rules += [journey.when, journey.exit, *(step.rule for step in journey.steps)]
        self.windows = {length for rule in rules for length in windows(rule)}

    def play(self) -> None:
        while (now := self._next()) is not None and now <= self.story.end_ms:
            self.now = now
            self.settled = False
            for each in self.story.inputs:
                if each.at_ms == now:
                    self._arrive(each)
            self.settled = True
            self._pass()
            self._end_waits()
            self._deliver()
            self.instants.discard(now)

    def _next(self) -> int | None:
        due = [each.due_ms for each in self.instances]
        due += [each.due_ms for each in self.messages]
        due += [each.expiry_ms for each in self.instances]
        return min({*self.instants, *(each for each in due if each is not None)}, default=None)

    # (A) inputs

    def _arrive(self, given: Input) -> None:
        number = len(self.seen_events) + self.story.inputs.index(given)
        if given.kind == "catalog":
            self.stock[given.sku] = given
            self._look([each for each in self.instances if each.key == given.sku])
            return
        if given.kind == "event" and given.id in self.seen_events:
            return
        person = self._owner(given.ids)
        happening = None
        time_ms = min(given.time_ms, given.at_ms)
        if given.kind == "event":
            self.seen_events.add(given.id)
            rows = tuple((item.sku, self.stock[item.sku].category) for item in given.items)
            happening = Happening(given.id, given.type, time_ms, given.total, rows)
            person.events.append(happening)
            self.instants |= {time_ms + w for w in self.windows if time_ms + w > self.now}
        for name, value in given.values:
            if given.kind == "attributes":
                person.note(name, (time_ms, number, value))
            elif name == "preferred":
                person.prefer((time_ms, number, value or ""))
            else:
                person.agree(name, (time_ms, value == "out"))
        self._touch([person])
        if happening:
            for journey in self.story.journeys.values():
                self._enter_by_rows(person, journey, happening)

    def _owner(self, ids: tuple[str, ...]) -> Person:
        """Return whose input it is, once people are one and identifiers are where they belong."""
        ordered = sorted(ids, key=lambda each: PRIORITY.index(each.split(":")[0]))
        held = [self.holder[each] for each in ordered if each in self.holder]
        known = list({id(each): each for each in held}.values())
        if not known:
            known = [Person()]
            self.people.append(known[0])
        if self._may_be_one(known, ids):
            person = known[0]
            for other in known[1:]:
                self._merge(person, other)
        else:
            first = ordered[0]
            person = self.holder.get(first) or Person()
            if person not in self.people:
                self.people.append(person)
        for each in ordered:
            former = self.holder.get(each)
            if former is not None and former is not person:
                if each.split(":")[0] in UNIQUE:
                    continue
                former.ids.discard(each)
            person.ids.add(each)
            self.holder[each] = person
        return person

    @staticmethod
    def _may_be_one(known: list[Person], ids: tuple[str, ...]) -> bool:
        for namespace in UNIQUE:
            values = {i for i in ids if i.split(":")[0] == namespace}
            for person in known:
                values |= {i for i in person.ids if i.split(":")[0] == namespace}
            if len(values) > 1:
                return False
        return True

    def _merge(self, person: Person, other: Person) -> None:
        self.people = [each for each in self.people if each is not other]
        for each in other.ids:
            self.holder[each] = person
        person.ids |= other.ids
        person.events += other.events
        for name, said in other.attributes.items():
            person.note(name, said)
        for channel, word in other.consent.items():
            person.agree(channel, word)
        person.prefer(other.preferred)
        for name in self.story.audiences:
            times = [each.since.get(name) for each in (person, other)]
            person.since[name] = min((at for at in times if at is not None), default=None)
            person.left[name] = max(person.left.get(name, 0), other.left.get(name, 0))
        for key, at in other.entries.items():
            person.entries[key] = max(at, person.entries.get(key, 0))
        for instance in self.instances:
            instance.person = person if instance.person is other else instance.person
        for message in self.messages:
            message.person = person if message.person is other else message.person
        self._end_doubles(person)

    def _end_doubles(self, person: Person) -> None:
        first: dict[tuple[str, str], Instance] = {}
        live = [each for each in self.instances if each.person is person and each.end_ms is None]
        for each in sorted(live, key=lambda each: each.entry_ms):
            earlier = first.setdefault((each.journey.id, each.key), each)
            if earlier is not each:
                self._end(each, "merged")
                self.doubtful = self.doubtful or earlier.entry_ms == each.entry_ms

    def _enter_by_rows(self, person: Person, journey: Journey, happening: Happening) -> None:
        rows = journey.rows
        if rows is None or rows.kind != happening.type:
            return
        if journey.lateness_ms is not None and self.now - happening.time_ms > journey.lateness_ms:
            return
        for sku in self.matching(rows, happening, None):
            key = {"person": "", "event": happening.id, "item": sku}[journey.key]
            self._attempt(person, journey, key, happening)

    # (B) what time changes

    def _pass(self) -> None:
        self._touch(list(self.people))
        for each in self.instances:
            if each.expiry_ms is not None and each.expiry_ms <= self.now:
                self._end(each, "expired")

    def _touch(self, people: list[Person]) -> None:
        """Look at people again: memberships, then exits, waits for a rule, and entries."""
        entered: list[tuple[Person, str]] = []
        for person in people:
            for name, rule in self.story.audiences.items():
                is_in = self.holds(rule, person, None)
                was_in = person.since.get(name) is not None
                if is_in and not was_in:
                    person.since[name] = self.now
                    entered.append((person, name))
                elif was_in and not is_in:
                    person.since[name] = None
                    person.left[name] = self.now
        self._look([each for each in self.instances if any(each.person is p for p in people)])
        for person, name in entered:
            for journey in self.story.journeys.values():
                if journey.audience == name:
                    self._attempt(person, journey, "", None)

    def _look(self, instances: list[Instance]) -> None:
        for each in instances:
            rule = each.journey.exit
            if each.end_ms is None and rule and self.holds(rule, each.person, each):
                self._end(each, "exit_rule")
        for each in instances:
            waits = each.end_ms is None and each.step.action == "for"
            if waits and self.holds(each.step.rule, each.person, each):
                self._go_on(each)

    def _attempt(
        self, person: Person, journey: Journey, key: str, trigger: Happening | None
    ) -> None:
        made = Instance(person, journey, key, self.now, trigger)
        if journey.when and not self.holds(journey.when, person, made):
            return
        if journey.exit and self.holds(journey.exit, person, made):
            return
        for each in self.instances:
            same = each.person is person and each.journey is journey and each.key == key
            if same and each.end_ms is None:
                self._restart(each, trigger)
                return
        last = person.entries.get((journey.id, key))
        if last is not None and journey.reentry == "never":
            return
        if last is not None and journey.reentry == "after" and self.now - last < journey.reentry_ms:
            return
        person.entries[journey.id, key] = self.now
        self.instances.append(made)
        self._walk(made)

    def _restart(self, instance: Instance, trigger: Happening | None) -> None:
        if not instance.journey.restart or instance.moved or not trigger or not instance.trigger:
            return
        if trigger.time_ms < instance.trigger.time_ms:
            return
        instance.trigger, instance.entry_ms = trigger, self.now
        instance.person.entries[instance.journey.id, instance.key] = self.now
        self._walk(instance)

    # (C) waits that end, and the steps

    def _end_waits(self) -> None:
        for each in list(self.instances):
            if each.due_ms is not None and each.due_ms <= self.now:
                target = each.step.target if each.step.action == "for" else ""
                self._go_on(each, target)

    def _go_on(self, instance: Instance, target: str = "") -> None:
        instance.moved, instance.due_ms, instance.message = True, None, None
        instance.at = self._index(instance, target) if target else instance.at + 1
        self._walk(instance)

    @staticmethod
    def _index(instance: Instance, target: str) -> int:
        return [step.id for step in instance.journey.steps].index(target)

    def _walk(self, instance: Instance) -> None:
        for _ in range(STEPS_AT_ONCE):
            if instance.at >= len(instance.journey.steps):
                self._end(instance, "completed")
                return
            if not self._take(instance, instance.step):
                return
        raise AssertionError("a loop without a wait")

    def _take(self, instance: Instance, step: Step) -> bool:  # noqa: PLR0911  one for each kind
        """Take a step; return whether it goes on at once."""
        if step.action in ("wait", "until"):
            since = self.now if step.action == "wait" else instance.entry_ms
            if since + step.length_ms > self.now:
                instance.due_ms = since + step.length_ms
                return False
        elif step.action == "send":
            name = f"{instance.journey.id}_{step.id}"
            instance.message = Message(instance.person, name, step, self.now, self.now)
            self.messages.append(instance.message)
            return False
        elif step.action == "go_to":
            instance.at = self._index(instance, step.target)
            return True
        elif not self.holds(step.rule, instance.person, instance):
            if step.action == "for":
                instance.due_ms = self.now + step.length_ms
                return False
            if not step.target:
                self._end(instance, "check_failed")
                return False
            instance.at = self._index(instance, step.target)
            return True
        instance.at += 1
        return True

    def _end(self, instance: Instance, reason: str) -> None:
        instance.end_ms, instance.reason, instance.due_ms = self.now, reason, None
        if instance.message and instance.message.state == "pending":
            reasons = {"exit_rule": "withdrawn"}
            self._settle(instance.message, "cancelled", reasons.get(reason, reason))

    # (D) sending

    def _deliver(self) -> None:
        while due := [m for m in self.messages if m.due_ms is not None and m.due_ms <= self.now]:
            for message in due:
                if message.due_ms is not None:
                    self._send(message)

    def _send(self, message: Message) -> None:
        channel, reason = self._channel(message)
        if reason:
            self._settle(message, "discarded", reason)
        else:
            if message.step.timing == "optimal" and message.asked_ms == self.now:
                message.due_ms = self._best_hour(message.person)
                if message.due_ms > self.now:
                    return
            message.channel, message.sent_ms = channel, self.now
            self._settle(message, "sent", "")
        for each in self.instances:
            if each.message is message and each.end_ms is None:
                self._go_on(each)

    @staticmethod
    def _settle(message: Message, state: str, reason: str) -> None:
        message.state, message.reason, message.due_ms = state, reason, None

    def _channel(self, message: Message) -> tuple[str, str]:
        person, reason = message.person, "no_address"
        for asked in message.step.channels:
            channel = asked
            if asked == "preferred":
                if person.preferred is None:
                    continue
                channel = person.preferred[2]
            if channel == "assistant":
                return channel, ""
            if person.value(ADDRESS[channel]) is None:
                continue
            out = person.consent.get(channel, (0, True))[1]
            if message.step.purpose == "marketing" and out:
                reason = "no_consent"
                continue
            return channel, ""
        return "", reason

    def _best_hour(self, person: Person) -> int:
        zone = ZoneInfo(person.value("zone") or "UTC")
        since = self.now - 90 * 24 * HOUR
        opened = [e for e in person.events if e.type == "message.opened" and e.time_ms > since]
        hours = [_local(each.time_ms, zone).hour for each in opened]
        if not hours:
            return self.now
        best = max(range(24), key=lambda hour: (hours.count(hour), -hour))
        now = _local(self.now, zone)
        if now.hour == best:
            return self.now
        start = now.replace(minute=0, second=0, microsecond=0)
        while start.hour != best:
            start += timedelta(hours=1)
        return int(start.timestamp()) * 1000


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
