"""One person turns out to be two: who gets what is still to be sent, and what is told of whom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from messaging_world import (
    BETH,
    CANCELLED,
    DAY,
    HOUR,
    IN,
    NOON,
    OUT,
    PENDING,
    SENT,
    SMS,
    World,
    attributes,
    consent,
    event,
    reachable,
    send,
    template,
    tick,
)

from coterie.log.v1 import facts_pb2, intents_pb2
from services.kit.ids import profile_id
from services.messaging import tables
from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.providers.port import Letter
from services.messaging.recipients import Person, load_engagement, load_people
from tests.databases import Databases

BEA = profile_id(0, 2)
HERS, OTHERS = "+46700000001", "+46700000002"


class Notebook:
    """A provider that takes everything and keeps it."""

    idempotent = True
    concurrency = 4

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    async def send(self, letter: Letter) -> Answer:
        self.letters.append(letter)
        return Answer(Outcome.ACCEPTED, "kept")

    async def close(self) -> None:
        pass


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.open("messaging"))
    yield made
    made.close()


def came(fact: facts_pb2.Fact, came_with: str) -> facts_pb2.Fact:
    fact.came_with.namespace, _, fact.came_with.value = came_with.partition(":")
    return fact


def asked(name: str, came_with: str, at: int = NOON, index: int = 0) -> intents_pb2.Intent:
    made = send(name, at=at, index=index)
    made.came_with = came_with
    return made


def parting(*leaving: str) -> facts_pb2.Fact:
    fact = facts_pb2.Fact(profile_id=BETH)
    fact.profile_divided.new_profile_id = BEA
    for one in leaving:
        namespace, _, value = one.partition(":")
        fact.profile_divided.identities.add(namespace=namespace, value=value)
    return fact


def both_known() -> list[facts_pb2.Fact]:
    """Return what two people have said who are taken for one."""
    return [
        came(attributes(phone=HERS, first_name="Beth", as_of=NOON - 2), "crm:b"),
        came(attributes(phone=OTHERS, first_name="Bea", as_of=NOON - 1), "ecid:d"),
        came(consent(sms=IN, preferred=SMS, as_of=NOON - 2), "crm:b"),
        came(consent(sms=IN, as_of=NOON - 1), "ecid:d"),
        came(event("message.opened", NOON - DAY), "ecid:d"),
        template("Hey {{ profile.first_name }}"),
    ]


def person(world: World, who: int) -> Person:
    with world.database.read() as connection:
        return load_people(connection, [who])[who]


def test_what_was_said_goes_with_the_identifier_that_it_came_with(world: World) -> None:
    world.feed(*both_known())
    assert person(world, BETH).recipient.addresses == {Lane.SMS: OTHERS}
    world.feed(parting("ecid:d"))
    beth, bea = person(world, BETH).recipient, person(world, BEA).recipient
    assert (beth.addresses, bea.addresses) == ({Lane.SMS: HERS}, {Lane.SMS: OTHERS})
    assert (beth.preferred, bea.preferred) == (Lane.SMS, None)
    with world.database.read() as connection:
        assert load_engagement(connection, BETH) == []
        assert load_engagement(connection, BEA) == [NOON - DAY]


def test_a_message_goes_to_whom_its_journey_belongs(world: World) -> None:
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*both_known())
    later = NOON + HOUR
    intents = [asked("m", "crm:b", later), asked("n", "ecid:d", later)]
    world.feed(tick(), intents=intents)
    world.feed(parting("ecid:d"), at=NOON + 1)
    world.feed(tick(), at=later)
    asyncio.run(world.dispatch())
    letters = {one.message_id: (one.address, one.text) for one in notebook.letters}
    assert sorted(letters.values()) == [(HERS, "Hey Beth"), (OTHERS, "Hey Bea")]
    assert (world.message("m").profile_id, world.message("n").profile_id) == (BETH, BEA)
    assert (world.fate("m"), world.fate("n")) == ((SENT, ""), (SENT, ""))


def test_a_decided_message_is_asked_about_again_for_who_gets_it(world: World) -> None:
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*both_known(), came(consent(sms=OUT, as_of=NOON - 1), "ecid:d"))
    world.feed(came(consent(sms=IN), "crm:b"))
    world.feed(tick(), intents=[asked("n", "ecid:d")])
    assert world.fate("n") == (PENDING, "")
    world.feed(parting("ecid:d"), at=NOON + 1)
    asyncio.run(world.dispatch())
    assert notebook.letters == []
    assert world.fate("n")[1] == "no_consent"


def test_what_was_sent_is_told_of_whom_it_was_sent_to_and_not_sent_again(world: World) -> None:
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*both_known())
    world.feed(tick(), intents=[asked("n", "ecid:d")])
    asyncio.run(world.dispatch())
    world.feed(parting("ecid:d"), at=NOON + 1)
    world.feed(tick(), at=NOON + HOUR)
    asyncio.run(world.dispatch())
    assert len(notebook.letters) == 1
    assert (world.message("n").profile_id, world.fate("n")) == (BETH, (SENT, ""))


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_asked_before_the_unmerge_in_one_record_goes_along(exact: bool) -> None:  # noqa: FBT001
    world = World(exact=exact)
    facts = [*both_known(), tick(), parting("ecid:d")]
    intents = [asked("m", "crm:b", index=6), asked("n", "ecid:d", index=6)]
    world.feed(*facts, intents=intents)
    assert (world.message("m").profile_id, world.message("n").profile_id) == (BETH, BEA)
    assert person(world, BETH).recipient.addresses == {Lane.SMS: HERS}
    world.close()


def test_a_blocked_address_is_blocked_for_whoever_has_it(world: World) -> None:
    world.feed(*both_known())
    world.store.suppress(Lane.SMS, OTHERS, 1, NOON)
    world.feed(parting("ecid:d"))
    assert person(world, BETH).recipient.suppressed == frozenset()
    assert person(world, BEA).recipient.suppressed == {Lane.SMS}


def test_a_replay_in_one_go_gives_the_same_tables(world: World) -> None:
    world.feed(*both_known(), *reachable(BEA + 7))
    world.feed(tick(), intents=[asked("m", "crm:b"), asked("n", "ecid:d")])
    world.feed(parting("ecid:d"), came(attributes(first_name="B", as_of=NOON), "crm:b"))
    world.feed(tick(), at=NOON + HOUR)
    other = World()
    world.replayed(other)
    for table in (*tables.PROJECTED, tables.messages, tables.checks):
        assert world.rows(table) == other.rows(table)
    other.close()


def erased(person: int = BETH) -> facts_pb2.Fact:
    fact = facts_pb2.Fact(profile_id=person)
    fact.profile_erased.SetInParent()
    return fact


def test_nothing_more_is_sent_to_who_is_erased_and_nothing_says_who_it_was(world: World) -> None:
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*both_known())
    world.feed(tick(), intents=[asked("m", "crm:b")])
    asyncio.run(world.dispatch())
    later = asked("n", "crm:b", NOON + 1)
    later.send.trigger.event_id = "personal"
    world.feed(tick(), at=NOON + 1, intents=[later])
    world.feed(erased(), at=NOON + 2)
    world.feed(tick(), at=NOON + HOUR)
    asyncio.run(world.dispatch())
    assert len(notebook.letters) == 1
    assert (world.fate("m"), world.fate("n")) == ((SENT, ""), (CANCELLED, "erased"))
    for table in (tables.attributes, tables.consents, tables.preferences, tables.engagement):
        assert world.rows(table) == []
    held = repr(world.rows(tables.messages)) + repr(world.rows(tables.attempts))
    for personal in (HERS, OTHERS, "Beth", "personal", "crm:b"):
        assert personal not in held
    for address in (HERS, OTHERS):
        found = world.store.suppression(Lane.SMS, address)
        assert found is not None
        assert (found.since_ms, found.reason) == (NOON + 2, 5)


def test_who_comes_with_the_address_of_the_erased_is_not_written_to(world: World) -> None:
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*both_known())
    world.feed(erased())
    world.feed(attributes(BEA, phone=OTHERS), consent(BEA, sms=IN))
    world.feed(tick(), intents=[send("n", person=BEA)])
    assert world.fate("n")[1] == "suppressed"
    world.store.unsuppress(Lane.SMS, OTHERS)
    world.feed(tick(), intents=[send("o", person=BEA)])
    asyncio.run(world.dispatch())
    assert [one.address for one in notebook.letters] == [OTHERS]


def test_an_erasure_in_a_replay_gives_the_same_tables(world: World) -> None:
    world.feed(*both_known(), *reachable(BEA))
    world.feed(tick(), intents=[asked("m", "crm:b")])
    world.feed(erased(), attributes(BEA, first_name="B"))
    world.feed(tick(), at=NOON + HOUR)
    other = World()
    world.replayed(other)
    for table in (*tables.PROJECTED, tables.messages, tables.suppressions):
        assert world.rows(table) == other.rows(table)
    other.close()
