"""Draws a story from a seed: few people, few types, and instants that often coincide."""

from __future__ import annotations

import random

from tests.stories.story import (
    HOUR,
    MINUTE,
    Attr,
    Condition,
    Input,
    Item,
    Joined,
    Journey,
    Member,
    Not,
    Rows,
    SoldOut,
    Step,
    Story,
    TriggerTotal,
)

START = 1_767_268_800_000  # 2026-01-01T12:00:00Z
GRID = 10 * MINUTE
TYPES = ("visit", "view", "buy")
SKUS = ("s1", "s2")
CHANNELS = ("preferred", "email", "sms", "push", "assistant")
IDS = ("crm:a", "crm:b", "crm:c", "email:x", "email:y", "ecid:1", "ecid:2", "ecid:3")


def draw(seed: int, count: int = 24) -> Story:
    return _Draw(seed).story(count)


class _Draw:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._r = random.Random(seed)

    def story(self, count: int) -> Story:
        r = self._r
        names = ["a0", "a1", "a2"]
        audiences: dict[str, Condition] = {}
        for name in names:
            audiences[name] = self._person(tuple(audiences))
        journeys = {f"j{n}": self._journey(f"j{n}", tuple(audiences)) for n in range(3)}
        instants = sorted(START + GRID * r.randint(1, 18) for _ in range(count))
        inputs = tuple(self._input(n, at) for n, at in enumerate(instants))
        inputs = (*self._welcome(), *self._duplicates(inputs))
        catalog = tuple(
            Input(START, "catalog", sku=sku, category=r.choice("cd"), stock=r.choice((1, 5)))
            for sku in SKUS
        )
        restarts = frozenset(r.sample(instants, 1) if r.random() < 0.3 else ())
        end = START + 18 * GRID + 30 * HOUR
        return Story(self._seed, START, end, audiences, journeys, catalog, inputs, IDS, restarts)

    def _length(self) -> int:
        return self._r.choice((1, 2, 3, 3, 6)) * GRID

    def _person(  # noqa: PLR0911  one for each kind
        self, names: tuple[str, ...], deep: int = 2
    ) -> Condition:
        """Return a condition about the person alone."""
        r = self._r
        roll = r.random()
        if deep and roll < 0.2:
            return Not(self._person(names, deep - 1))
        if deep and roll < 0.5:
            parts = tuple(self._person(names, deep - 1) for _ in range(2))
            return Joined(r.choice(("&&", "||")), parts)
        if names and roll < 0.6:
            return Member(r.choice(names))
        if roll < 0.7:
            return Attr("tier", r.choice(("gold", "base")))
        kind = r.choice(TYPES)
        last = self._length() if r.random() < 0.7 else 0
        least = r.choice((1, 1, 1, 2))
        if kind == "visit":
            return Rows(kind, last_ms=last, least=least)
        if kind == "view" or r.random() < 0.5:
            where = r.choice((("", ""), ("sku", "s1"), ("category", "c")))
            return Rows(kind, items=True, where=where, last_ms=last, least=least)
        return Rows(kind, where=("total", "5"), last_ms=last, least=least)

    def _any(  # noqa: PLR0911  one for each kind
        self, names: tuple[str, ...], by: str, key: str, deep: int = 2
    ) -> Condition:
        """Return a condition that may speak of the instance."""
        r = self._r
        roll = r.random()
        if deep and roll < 0.12:
            return Not(self._any(names, by, key, deep - 1))
        if deep and roll < 0.35:
            parts = tuple(self._any(names, by, key, deep - 1) for _ in range(2))
            return Joined(r.choice(("&&", "||")), parts)
        if roll < 0.55:
            return self._person(names, 1)
        if key == "item" and roll < 0.65:
            return SoldOut()
        since = r.choice(("trigger", "entry")) if by != "audience" else "entry"
        if key == "item" and roll < 0.8:
            return Rows("buy", items=True, where=("key", ""), since=since)
        if by == "buy" and roll < 0.7:
            return TriggerTotal(5)
        if by == "buy" and roll < 0.78:
            return Rows("buy", where=("same", ""), since=since)
        return Rows(r.choice(TYPES), since=since, least=r.choice((1, 1, 2)))

    def _journey(self, name: str, names: tuple[str, ...]) -> Journey:
        r = self._r
        by = r.choice(("rows", "rows", "audience"))
        key, rows = "person", None
        if by == "rows":
            kind = r.choice(TYPES)
            items = kind != "visit" and r.random() < 0.6
            where = ("", "")
            if items:
                where = r.choice((("", ""), ("", ""), ("category", "c")))
            elif kind == "buy" and r.random() < 0.5:
                where = ("total", "5")
            key = r.choice(("person", "event", "item") if items else ("person", "person", "event"))
            rows = Rows(kind, items=items, where=where)
        by = rows.kind if rows else by
        steps = self._steps(names, by, key)
        reentry = r.choice(("always", "always", "never", "after"))
        return Journey(
            name,
            steps,
            audience=r.choice(names) if by == "audience" else "",
            rows=rows,
            key=key,
            when=self._any(names, by, key) if r.random() < 0.2 else None,
            reentry=reentry,
            reentry_ms=r.choice((1, 3, 6, 9)) * GRID,
            restart=rows is not None and steps[0].action == "wait" and r.random() < 0.5,
            lateness_ms=GRID if rows and r.random() < 0.3 else None,
            exit=self._any(names, by, key) if r.random() < 0.35 else None,
            expires_ms=r.choice((2, 3, 4, 6, 9)) * GRID if r.random() < 0.4 else None,
        )

    def _steps(self, names: tuple[str, ...], by: str, key: str) -> tuple[Step, ...]:
        r = self._r
        count = r.randint(2, 6)
        steps = []
        for n in range(count):
            later = [f"s{m}" for m in range(n + 1, count)]
            action = r.choice(("wait", "send", "send", "send", "branch", "until", "for"))
            if n == 0 and r.random() < 0.6:
                action = "wait"
            rule = self._any(names, by, key) if action in ("branch", "for") else None
            target = r.choice([*later, ""]) if action in ("branch", "for") and later else ""
            length = self._length() if action in ("wait", "until", "for") else 0
            channels: tuple[str, ...] = ()
            if action == "send":
                channels = tuple(r.sample(CHANNELS[: r.choice((4, 4, 5))], r.randint(1, 3)))
            steps.append(
                Step(
                    f"s{n}",
                    action,
                    length,
                    rule,
                    target,
                    channels,
                    "transactional" if r.random() < 0.2 else "marketing",
                    "optimal" if r.random() < 0.2 else "asap",
                )
            )
        if r.random() < 0.2 and steps[0].action == "wait":
            steps[-1] = Step(f"s{count - 1}", "go_to", target="s0")
        return tuple(steps)

    def _ids(self) -> tuple[str, ...]:
        r = self._r
        first = r.choice(IDS)
        others = [each for each in IDS if each.split(":")[0] != first.split(":")[0]]
        return (first, r.choice(others)) if r.random() < 0.35 else (first,)

    def _input(self, n: int, at: int) -> Input:
        r = self._r
        roll = r.random()
        if roll < 0.08:
            return Input(
                at, "catalog", sku=r.choice(SKUS), category=r.choice("cd"), stock=r.choice((0, 1))
            )
        time = at - r.choice((0, 0, 0, 1, 2, 3)) * GRID
        if roll < 0.2:
            values = tuple(
                (channel, r.choice(("in", "in", "out")))
                for channel in r.sample(("email", "sms", "push"), r.randint(1, 3))
            )
            if r.random() < 0.5:
                values += (("preferred", r.choice(("email", "sms", "push"))),)
            return Input(at, "consent", self._ids(), time_ms=time, values=values)
        if roll < 0.4:
            return self._attributes(at, time)
        kind = r.choice((*TYPES, *TYPES, "message.opened"))
        items: tuple[Item, ...] = ()
        if kind in ("view", "buy"):
            items = tuple(Item(r.choice(SKUS)) for _ in range(r.randint(1, 2)))
        total = r.choice((4, 5, 6)) if kind == "buy" else None
        return Input(at, "event", self._ids(), f"e{n}", kind, time, total=total, items=items)

    def _attributes(self, at: int, time: int) -> Input:
        r = self._r
        ids = self._ids()
        roll = r.random()
        value: str | None
        if roll < 0.4:
            name, value = "tier", r.choice(("gold", "base", None))
        elif roll < 0.5:
            name, value = "zone", r.choice(("Asia/Kolkata", "America/New_York"))
        elif roll < 0.7:
            name, value = "push_token", r.choice(("t1", "t2", None))
        else:
            crm = r.choice(IDS[:3])
            ids, letter = (crm,), crm[-1]
            name = r.choice(("email", "phone"))
            value = f"{letter}@x.example" if name == "email" else f"+467000{ord(letter)}"
        return Input(at, "attributes", ids, time_ms=time, values=((name, value),))

    def _welcome(self) -> tuple[Input, ...]:
        """Return addresses and consent of most of the people, so that messages go."""
        r = self._r
        made = []
        for at, who in enumerate(IDS, START + 1):
            if r.random() < 0.6:
                token = (("push_token", who[-1]),)
                made.append(Input(at, "attributes", (who,), time_ms=START, values=token))
            if r.random() < 0.7:
                words = tuple((channel, "in") for channel in ("email", "sms", "push"))
                made.append(Input(at, "consent", (who,), time_ms=START, values=words))
        return tuple(made)

    def _duplicates(self, inputs: tuple[Input, ...]) -> tuple[Input, ...]:
        """Return the inputs, one event id being used again for something else."""
        events = [n for n, each in enumerate(inputs) if each.kind == "event"]
        if len(events) < 2 or self._r.random() < 0.5:
            return inputs
        first, second = sorted(self._r.sample(events, 2))
        made = list(inputs)
        made[second] = Input(**{**vars(inputs[second]), "id": inputs[first].id})
        return tuple(made)
