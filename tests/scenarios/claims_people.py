"""Expectations about who is who and what is known of them; read at their instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coterie.profile.v1 import profile_pb2
from tests.scenarios.inputs import event_id, event_types, plain, who
from tests.scenarios.people import Ids, People
from tests.scenarios.scenario import Definition, Scenario
from tests.scenarios.verdict import Verdict, fails, judged


async def same_profile(people: People, body: Sequence[Ids]) -> Verdict:
    found = await people.resolve(*body)
    return judged(holds=found[0] != 0 and len(set(found)) == 1, found=f"profiles {found}")


async def different_profiles(people: People, body: Sequence[Ids]) -> Verdict:
    """No two of the identities are one person; one that nobody has is a person of its own."""
    found = [await people.profile_id(ids) for ids in body]
    known = [each for each in found if each]
    return judged(holds=len(known) == len(set(known)), found=f"profiles {found}")


async def attribute(people: People, body: Definition) -> Verdict:
    profile = await people.profile(body["who"])
    held = profile.attributes if profile else {}
    path = body["path"]
    found = plain(held[path].value) if path in held else None
    if "exists" in body:
        return judged(holds=(found is not None) == body["exists"], found=found)
    if "eq" not in body:
        return fails(f"an attribute is compared by `eq` or `exists`, found {sorted(body)}")
    return judged(holds=found == body["eq"], found=found)


class Events:
    """Expectations about single events: `known` has the inputs of the timeline by id."""

    def __init__(self, scenario: Scenario) -> None:
        self._namespaces = scenario.namespaces
        self._known: Mapping[str, Definition] = {
            body["id"]: body for body in reversed(scenario.bodies("event"))
        }

    async def primary(self, people: People, body: Definition) -> Verdict:
        event = await self._find(people, self._known[body["event"]]["ids"], body["event"])
        if event is None:
            return fails("no such event")
        named = event.event.primary_namespace
        held = {each.namespace: each.value for each in event.event.identities}
        if not named:
            named = min(held, key=self._rank)
        found = {"namespace": named, "id": held.get(named)}
        wanted = {"namespace": body["namespace"], "id": body["id"]}
        return judged(holds=found == wanted, found=found)

    async def owner(self, people: People, body: Definition) -> Verdict:
        event = await self._find(people, body["who"], body["event"])
        return judged(holds=event is not None, found="the event is not on this timeline")

    async def count(self, people: People, body: Definition) -> Verdict:
        events = await people.events(who(body["who"]))
        found = sum(each.event.type == body["type"] for each in events)
        return judged(holds=found == body["is"], found=found)

    async def _find(self, people: People, ids: Ids, name: str) -> profile_pb2.TimelineEvent | None:
        """Return the event from the timeline of a person, as any of the types that it counts as."""
        known = self._known[name]
        wanted = {event_id(known, kind) for kind in event_types(known)}
        events = await people.events(who(ids))
        return next((each for each in events if each.event.event_id in wanted), None)

    def _rank(self, namespace: str) -> tuple[int, str]:
        order = self._namespaces
        return (order.index(namespace) if namespace in order else len(order), namespace)
