"""One person turns out to be two: what goes with the identifier that leaves, and what stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from journey_stage import (
    DAY,
    HOUR,
    Input,
    Partition,
    World,
    by_audience,
    by_rows,
    change,
    event,
    outcome,
    publish,
    send,
    tick,
    wait,
)
from sqlalchemy import select

from coterie.journey.v1 import journey_pb2
from coterie.log.v1 import facts_pb2, transitions_pb2
from coterie.type.v1 import message_pb2
from segcore.rule import Aggregate, Fold, Not, Rows, Scope
from services.journey import tables
from services.journey.domain.instance import EndReason
from tests.databases import Databases

START = 1_700_000_000_000
ADA, BEA = 7, 8
LEFT = Rows(Scope.EVENT, ("cart",))
BOUGHT = Aggregate(Rows(Scope.EVENT, ("buy",)), Fold.EXISTS)


@pytest.fixture
def here(databases: Databases) -> Iterator[Partition]:
    world = World(1, databases.open("journey"))
    yield world.partitions[0]
    world.close()


def came(given: Input, came_with: str) -> Input:
    for one in given.facts:
        one.came_with.namespace, _, one.came_with.value = came_with.partition(":")
    return given


def parting(
    at_ms: int, *leaving: str, transitions: tuple[transitions_pb2.Transition, ...] = ()
) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, profile_id=ADA)
    fact.profile_divided.new_profile_id = BEA
    for one in leaving:
        namespace, _, value = one.partition(":")
        fact.profile_divided.identities.add(namespace=namespace, value=value)
    return Input([fact], list(transitions))


def carts(step: journey_pb2.Step | None = None, *, exits: bool = False) -> Input:
    journey = by_rows(journey_pb2.KEY_EVENT, *([step] if step else []), send("nudge"))
    rules: dict[str, Aggregate | Rows] = {"entry.rows": LEFT}
    if exits:
        journey.exit_rule, rules["exit"] = "as compiled", BOUGHT
    return publish(START, "carts", journey, dict(rules))


def cart(at_ms: int, event_id: str, came_with: str) -> Input:
    return came(event(at_ms, ADA, "cart", event_id), came_with)


def test_an_instance_stays_with_the_owner_of_the_identifier_that_caused_its_entry(
    here: Partition,
) -> None:
    here.feed(carts(wait("wait", DAY)))
    here.feed(cart(START + 1, "e1", "crm:a"), cart(START + 2, "e2", "ecid:d"))
    here.feed(parting(START + HOUR, "ecid:d"))
    here.feed(tick(START + 2 * DAY))
    here.work()
    assert [(one.profile_id, one.key) for one in here.instances()] == [(ADA, "e1"), (BEA, "e2")]
    assert [(one[2], one[3]) for one in here.wanted()] == [(ADA, "send"), (BEA, "send")]


def test_what_an_instance_waits_for_reaches_it_where_it_went(here: Partition) -> None:
    here.feed(carts())
    here.feed(cart(START + 1, "e1", "ecid:d"))
    here.work()
    ((_, _, _, _, message, *_),) = here.wanted()
    here.feed(
        parting(START + HOUR, "ecid:d"),
        outcome(START + HOUR, BEA, message, message_pb2.MESSAGE_STATE_SENT),
    )
    here.work()
    (instance,) = here.instances()
    assert (instance.profile_id, instance.end_reason) == (BEA, EndReason.COMPLETED)


def test_events_are_looked_at_by_whose_they_are(here: Partition) -> None:
    here.feed(carts(wait("wait", DAY), exits=True))
    here.feed(cart(START + 1, "e1", "crm:a"), cart(START + 2, "e2", "ecid:d"))
    here.feed(parting(START + HOUR, "ecid:d"))
    here.feed(came(event(START + 2 * HOUR, BEA, "buy", "e3"), "ecid:d"))
    here.work()
    first, second = here.instances()
    assert (first.live, second.end_reason) == (True, EndReason.EXIT_RULE)


def test_an_exit_that_holds_for_a_half_alone_ends_its_instance_at_once(here: Partition) -> None:
    journey = by_rows(journey_pb2.KEY_EVENT, wait("wait", DAY), send("nudge"))
    journey.exit_rule = "as compiled"
    rules = {"entry.rows": LEFT, "exit": Not(BOUGHT)}
    here.feed(publish(START, "carts", journey, rules))
    here.feed(came(event(START, ADA, "buy", "e0"), "crm:a"))
    here.feed(cart(START + 1, "e1", "crm:a"), cart(START + 2, "e2", "ecid:d"))
    here.feed(parting(START + HOUR, "ecid:d"))
    here.work()
    first, second = here.instances()
    assert (first.live, second.end_reason, second.end_ms) == (
        True,
        EndReason.EXIT_RULE,
        START + HOUR,
    )


def enter(at_ms: int, event_id: str, came_with: str) -> Input:
    entered = change("left", ADA, at_ms)
    return came(event(at_ms, ADA, "exit", event_id, transitions=[entered]), came_with)


@pytest.mark.parametrize(("came_with", "owner"), [("ecid:d", BEA), ("crm:a", ADA)])
def test_who_entered_by_an_audience_did_by_the_identifier_of_the_input(
    here: Partition, came_with: str, owner: int
) -> None:
    here.feed(publish(START, "nudge", by_audience("left", wait("wait", DAY), send("nudge"))))
    here.feed(enter(START + 1, "e1", came_with))
    here.feed(parting(START + HOUR, "ecid:d"))
    here.work()
    (instance,) = here.instances()
    assert (instance.profile_id, instance.live) == (owner, True)


def test_who_is_split_off_starts_nothing_and_who_remains_does(here: Partition) -> None:
    here.feed(publish(START, "nudge", by_audience("left", wait("wait", DAY), send("nudge"))))
    entered = tuple(change("left", person, START + HOUR, cause="UNMERGE") for person in (ADA, BEA))
    here.feed(parting(START + HOUR, "ecid:d", transitions=entered))
    here.feed(tick(START + 2 * HOUR))
    later = change("left", BEA, START + 3 * HOUR)
    gone = change("left", BEA, START + 2 * HOUR, entered=False)
    here.feed(event(START + 2 * HOUR, BEA, "exit", "e1", transitions=[gone]))
    here.feed(event(START + 3 * HOUR, BEA, "exit", "e2", transitions=[later]))
    here.work()
    assert [(one.profile_id, one.entry_ms - START) for one in here.instances()] == [
        (ADA, HOUR),
        (BEA, 3 * HOUR),
    ]


def test_former_entries_count_for_reentry_where_they_went(here: Partition) -> None:
    journey = by_audience("left", send("nudge"))
    journey.entry.reentry = journey_pb2.REENTRY_NEVER
    here.feed(publish(START, "nudge", journey))
    here.feed(enter(START + 1, "e1", "ecid:d"))
    here.work()
    ((_, _, _, _, message, *_),) = here.wanted()
    here.feed(outcome(START + 2, ADA, message, message_pb2.MESSAGE_STATE_SENT))
    out = change("left", ADA, START + HOUR, entered=False, cause="UNMERGE")
    here.feed(parting(START + HOUR, "ecid:d", transitions=(out,)))
    here.feed(enter(START + 2 * HOUR, "e2", "crm:a"))
    again = change("left", BEA, START + 3 * HOUR)
    here.feed(event(START + 3 * HOUR, BEA, "exit", "e3", transitions=[again]))
    here.work()
    assert [(one.profile_id, one.live) for one in here.instances()] == [(BEA, False), (ADA, True)]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_restarts_and_steps_do_not_show(databases: Databases, limit: int) -> None:
    world = World(1, databases.open("journey"))
    here = world.partitions[0]
    here.feed(carts(wait("wait", DAY), exits=True))
    for number in range(6):
        name = "ecid:d" if number % 2 else "crm:a"
        here.feed(cart(START + number, f"e{number}", name))
    here.feed(parting(START + HOUR, "ecid:d"), came(event(START + HOUR, BEA, "buy", "b"), "ecid:d"))
    here.feed(tick(START + 2 * DAY))
    stage = here.start()
    while stage.step(limit):
        stage = here.start()
    assert [(one.profile_id, one.key, str(one.end_reason)) for one in here.instances()] == [
        (BEA if n % 2 else ADA, f"e{n}", "exit_rule" if n % 2 else "None") for n in range(6)
    ]
    assert [one[2:4] for one in here.wanted()] == [(ADA, "send")] * 3
    world.close()


def erased(at_ms: int, person: int = ADA) -> Input:
    fact = facts_pb2.Fact(log_time_ms=at_ms, received_ms=at_ms, profile_id=person)
    fact.profile_erased.SetInParent()
    out = change("left", person, at_ms, entered=False, cause="ERASURE")
    return Input([fact], [out])


def test_the_instances_of_who_is_erased_end_and_say_no_more_than_that(here: Partition) -> None:
    here.feed(carts())
    here.feed(publish(START, "nudge", by_audience("left", wait("wait", DAY), send("nudge"))))
    here.feed(cart(START + 1, "e1", "crm:a"), enter(START + 2, "e2", "crm:a"))
    here.feed(erased(START + HOUR))
    here.feed(tick(START + 2 * DAY))
    here.work()
    for one in here.instances():
        assert (one.end_reason, one.end_ms) == (EndReason.ERASED, START + HOUR)
        assert (one.trigger, one.key, one.came_with) == (None, "", "")
    asked, withdrawn = here.wanted()
    assert withdrawn[3:] == ("cancel", asked[4], START + HOUR, "erased")
    with here.world.database.read() as connection:
        assert connection.execute(select(tables.events)).all() == []
