"""What can be seen of a story when the model has played it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stories.model import World
from tests.stories.people import Person
from tests.stories.story import Seen, Story


def expected(story: Story) -> list[Seen] | None:
    """Return what is to be seen when the story is over; None where it is doubtful."""
    world = World(story)
    world.play()
    if world.doubtful:
        return None
    return sorted((*_members(world), *_instances(world), *_messages(world)))


def _name(person: Person) -> str:
    return " ".join(sorted(person.ids))


def _members(world: World) -> Iterator[Seen]:
    for person in world.people:
        for name in world.story.audiences:
            since = person.since.get(name)
            left = person.left.get(name, 0) if since is None else 0
            what = (("left", str(left)),)
            yield Seen("member", _name(person), name, since or 0, what)


def _instances(world: World) -> Iterator[Seen]:
    for each in world.instances:
        what = {
            "key": each.key,
            "step": each.step.id,
            "reason": each.reason,
            "end": str(each.end_ms or 0),
            "due": str(each.due_ms or 0),
            "trigger": each.trigger.id if each.trigger else "",
        }
        who, name = _name(each.person), each.journey.id
        yield Seen("instance", who, name, each.entry_ms, tuple(what.items()))


def _messages(world: World) -> Iterator[Seen]:
    for message in world.messages:
        what = {
            "state": message.state,
            "reason": message.reason,
            "channel": message.channel,
            "sent": str(message.sent_ms),
        }
        who = _name(message.person)
        yield Seen("message", who, message.name, message.asked_ms, tuple(what.items()))
