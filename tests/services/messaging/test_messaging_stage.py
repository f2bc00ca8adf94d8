"""The tables as a function of the log: who knows what, merges, departures, replays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from messaging_world import (
    BETH,
    CANCELLED,
    DISCARDED,
    EMAIL,
    HOUR,
    IN,
    NOON,
    OUT,
    PENDING,
    PHONE,
    SECOND,
    SENT,
    SMS,
    World,
    attributes,
    cancel,
    consent,
    departs,
    event,
    item,
    merged,
    message_id,
    reachable,
    send,
    template,
    tick,
    told,
)

from coterie.log.v1 import inbound_pb2, outcome_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from services.kit.ids import derive_id, profile_id
from services.kit.log.port import Entry
from services.messaging import tables
from services.messaging.domain.attempts import Answer, Outcome
from services.messaging.domain.lanes import Lane
from services.messaging.providers.port import Letter
from services.messaging.recipients import Person, load_people
from services.messaging.store import Selection
from tests.databases import Databases

ADA = profile_id(0, 2)
FAR = profile_id(1, 1)


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
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def person(world: World, who: int = BETH) -> Person:
    with world.database.read() as connection:
        return load_people(connection, [who])[who]


def test_the_latest_word_counts_and_of_equal_ones_the_later_arrival(world: World) -> None:
    world.feed(attributes(phone="+11111"), attributes(phone="+22222"))
    world.feed(attributes(phone="+33333", as_of=NOON - 1))
    assert person(world).recipient.addresses == {Lane.SMS: "+22222"}
    world.feed(attributes(phone="+44444", as_of=NOON + HOUR), at=NOON + HOUR)
    world.feed(attributes(phone=None, as_of=NOON), at=NOON + HOUR)
    assert person(world).recipient.addresses == {Lane.SMS: "+44444"}
    world.feed(attributes(phone=None), at=NOON + 2 * HOUR)
    assert person(world).recipient.addresses == {}


def test_of_equal_words_on_consent_the_no_counts(world: World) -> None:
    world.feed(consent(sms=OUT), consent(sms=IN, email=IN))
    assert person(world).recipient.consents == {Lane.SMS: OUT, Lane.EMAIL: IN}
    world.feed(consent(sms=IN, preferred=SMS), at=NOON + 1)
    assert person(world).recipient.consents[Lane.SMS] == IN
    assert person(world).recipient.preferred is Lane.SMS
    world.feed(consent(preferred=EMAIL, as_of=NOON - 1), at=NOON + 2)
    assert person(world).recipient.preferred is Lane.SMS


def test_facts_that_come_in_one_step_or_in_many_give_the_same_rows(world: World) -> None:
    story(world)
    again = World()
    world.replayed(again)
    for table in (*tables.PROJECTED, tables.messages, tables.checks, tables.progress):
        assert again.rows(table) == world.rows(table), table.name
    assert again.rows(tables.messages)
    again.close()


def story(world: World) -> None:
    """Live through some of everything that facts and intents can say."""
    world.feed(*reachable(), tick())
    world.feed(attributes(ADA, email="ada@example.com", zone="Europe/Paris"), item("a", name="A"))
    world.feed(template("second {{ profile.first_name }}", 2), consent(ADA, email=IN))
    world.feed(tick(), at=NOON + SECOND, intents=[send("one", at=NOON + SECOND)])
    world.feed(event("message.opened", NOON, ADA), at=NOON + 2 * SECOND)
    asked = [send("two", 2, person=ADA, at=NOON + 3 * SECOND, timing=1), send("three", person=ADA)]
    world.feed(tick(), at=NOON + 3 * SECOND, intents=asked)
    world.feed(attributes(ADA, phone="+99999"), at=NOON + 4 * SECOND, intents=[send("four")])
    world.feed(merged(ADA, BETH), at=NOON + 4 * SECOND)
    world.feed(consent(sms=OUT), at=NOON + 4 * SECOND)
    late = [send("five", person=ADA, at=NOON + 5 * SECOND), cancel("one")]
    world.feed(tick(), at=NOON + 5 * SECOND, intents=late)


def test_a_merge_brings_everything_to_the_one_who_remains(world: World) -> None:
    world.feed(template("x"), attributes(ADA, phone=PHONE, first_name="Ada"), consent(ADA, sms=IN))
    world.feed(attributes(first_name="Beth", as_of=NOON - 1), event("message.opened", NOON, ADA))
    world.feed(tick(), intents=[send(person=ADA)])
    world.feed(merged(ADA, BETH))
    assert person(world).recipient.addresses == {Lane.SMS: PHONE}
    assert person(world).recipient.consents == {Lane.SMS: IN}
    assert world.message().profile_id == BETH
    assert world.rows(tables.engagement)[0][0] == BETH
    world.feed(tick(), at=NOON + SECOND, intents=[send("late", person=ADA, at=NOON + SECOND)])
    assert world.message("late").profile_id == BETH
    assert world.store.current_id(ADA) == BETH


def test_a_chain_of_merges_leads_to_the_last_one(world: World) -> None:
    cleo = profile_id(0, 3)
    world.feed(attributes(ADA, phone=PHONE), merged(ADA, BETH), merged(BETH, cleo))
    assert world.store.current_id(ADA) == cleo
    assert person(world, cleo).recipient.addresses == {Lane.SMS: PHONE}
    world.feed(attributes(ADA, email="late@example.com"))
    assert person(world, cleo).recipient.addresses[Lane.EMAIL] == "late@example.com"


def test_who_leaves_gets_nothing_until_the_merge_has_arrived() -> None:
    world = World(partitions=2)
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*reachable(), tick(), intents=[send("before", index=3)])
    world.feed(departs(BETH, FAR), intents=[send("with")])
    (handoff,) = [entry for entry in waiting_inputs(world) if entry.HasField("handoff")]
    assert handoff.input_id == derive_id("handoff", "m1", "messaging")
    assert handoff.handoff.merge_id == "m1"
    world.feed(tick(), at=NOON + SECOND)
    asyncio.run(world.dispatch())
    assert not notebook.letters
    assert world.fate("before") == world.fate("with") == (PENDING, "")
    waiting = world.store.waiting(2)
    assert [each.in_flight for each in waiting] == [0, 0]
    assert [each.next_due_ms for each in waiting] == [None, None]

    world.feed(merged(BETH, FAR, arrives=True), tick(), at=NOON + 2 * SECOND, partition=1)
    assert world.store.waiting(2)[1].in_flight == 2
    asyncio.run(world.dispatch())
    assert sorted(each.message_id for each in notebook.letters) == sorted(
        [message_id("before"), message_id("with")]
    )
    assert world.message("with").profile_id == FAR
    world.close()


def waiting_inputs(world: World) -> list[inbound_pb2.Inbound]:
    asyncio.run(world.relay.relay())
    return world.outcomes()


def test_a_replay_into_empty_tables_sends_nothing_again(world: World) -> None:
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*reachable(), tick(), intents=[send(index=3), send("no", 2, index=3)])
    asyncio.run(world.dispatch())
    for outcome in world.outcomes():
        world.feed(told(outcome))
    again = World()
    again.providers[Lane.SMS] = notebook
    world.replayed(again)
    asyncio.run(again.dispatch())
    assert len(notebook.letters) == 1
    assert again.fate() == world.fate() == (SENT, "")
    assert again.fate("no") == world.fate("no") == (DISCARDED, "no_address")
    assert again.message().send_time == world.message().send_time
    assert not again.outcomes()
    again.close()


def test_the_log_s_word_on_a_message_of_nobody_changes_nothing(world: World) -> None:
    outcome = outcome_pb2.MessageOutcome(message_id="unknown", state=SENT)
    fact = attributes()
    fact.ClearField("attributes")
    fact.message_outcome.CopyFrom(outcome)
    world.feed(fact)
    assert not world.rows(tables.messages)


def test_an_intent_that_comes_twice_is_one_message(world: World) -> None:
    world.feed(*reachable(), tick(), intents=[send(index=3), send(index=3)])
    assert len(world.rows(tables.messages)) == 1


def test_a_withdrawal_of_what_was_never_asked_for_changes_nothing(world: World) -> None:
    world.feed(*reachable(), tick(), intents=[cancel("ghost", index=3)])
    assert not world.rows(tables.messages)
    assert not world.rows(tables.outbox)


def test_a_withdrawal_reaches_what_is_not_decided_yet(world: World) -> None:
    world.feed(*reachable(), intents=[send(index=2)])
    world.feed(attributes(x=1), intents=[cancel(reason="expired")])
    assert world.fate() == (CANCELLED, "expired")
    assert not world.message().HasField("decide_time")


def test_messages_wait_for_the_end_of_their_instant_across_a_restart(world: World) -> None:
    world.feed(*reachable(), intents=[send(index=2)])
    world.restart()
    world.feed(tick())
    assert world.message().decide_time.ToMilliseconds() == NOON


def test_the_next_due_instant_is_the_least_of_hour_retry_and_expiry(world: World) -> None:
    optimal: dict[str, Any] = {"timing": type_pb2.TIMING_OPTIMAL}
    opened = event("message.opened", NOON - 2 * HOUR)
    world.feed(*reachable(), opened, tick(), intents=[send("hour", index=4, **optimal)])
    assert world.store.waiting(1)[0].next_due_ms == NOON + 22 * HOUR
    intent = send("expires", index=0, expire_ms=NOON + HOUR, **optimal)
    world.feed(tick(), intents=[intent])
    assert world.store.waiting(1)[0].next_due_ms == NOON + HOUR
    world.feed(tick(), at=NOON + HOUR)
    asyncio.run(world.dispatch())
    assert world.fate("expires") == (DISCARDED, "expired")
    assert world.store.waiting(1)[0].next_due_ms == NOON + 22 * HOUR


def test_a_record_that_cannot_be_read_is_set_aside_and_stops_no_other(world: World) -> None:
    broken = world.partitions[0]
    seq = broken.facts.append([Entry(b"\xff\xff", 1)])
    broken.intents.append([Entry(b"", seq)])
    for _ in range(3):
        with pytest.raises(Exception, match=r"."):
            world.stages[0].step(32)
    world.feed(*reachable(), tick(), intents=[send(index=3)])
    assert len(world.rows(tables.dead_letters)) == 1
    assert world.fate() == (PENDING, "")


def test_the_same_story_gives_the_same_rows_on_every_engine(databases: Databases) -> None:
    world, usual = World(databases.open()), World()
    story(world)
    world.feed(*reachable(FAR), merged(FAR, BETH), departs(BETH, FAR))
    usual_story = World()
    world.replayed(usual_story)
    for table in (*tables.PROJECTED, tables.messages, tables.checks, tables.departures):
        assert world.rows(table) == usual_story.rows(table), table.name
    assert [each.name for each in world.store.messages(Selection(), None, 3)]
    for each in (world, usual, usual_story):
        each.close()


def test_sending_works_on_every_engine(databases: Databases) -> None:
    world = World(databases.open())
    notebook = world.providers[Lane.SMS] = Notebook()
    world.feed(*reachable(), tick(), intents=[send("a", index=3), send("b", 2, index=3)])
    assert world.store.waiting(1)[0].in_flight == 2
    asyncio.run(world.dispatch())
    assert world.store.waiting(1)[0].in_flight == 0
    assert [letter.text for letter in notebook.letters] == ["Hey Beth"]
    assert world.fate("a") == (SENT, "")
    assert world.fate("b") == (DISCARDED, "no_address")
    assert world.store.suppress(Lane.SMS, PHONE, 1, NOON) == NOON
    assert world.store.suppress(Lane.SMS, PHONE, 2, NOON + 1) == NOON
    world.feed(tick(), at=NOON + SECOND, intents=[send("c", at=NOON + SECOND)])
    assert world.fate("c") == (DISCARDED, "suppressed")
    assert world.store.unsuppress(Lane.SMS, PHONE)
    found = world.store.messages(Selection(BETH, "welcome"), None, 10)
    assert [each.intend_time.ToMilliseconds() - NOON for each in found] == [SECOND, 0, 0]
    assert len(world.store.messages(Selection(), (NOON + SECOND, ""), 10)) == 2
    world.close()
