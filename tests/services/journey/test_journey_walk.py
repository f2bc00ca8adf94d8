"""The walk of one instance: pure, an instant at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.journey.domain.definition import (
    Branch,
    End,
    Entry,
    GoTo,
    Journey,
    Reentry,
    Send,
    Step,
    Wait,
    WaitFor,
)
from services.journey.domain.entering import in_time, may_reenter
from services.journey.domain.instance import VISITS_KEPT, EndReason, Instance
from services.journey.domain.walk import CancelWanted, Holds, Walk, end, later_entered

HOUR = 3_600_000
NOW = 1_700_000_000_000


def walk(*steps: Step, exit_rule: str = "", expires_ms: int | None = None) -> Walk:
    journey = Journey("j", 1, Entry("a"), steps, exit_rule, expires_ms)
    return Walk(journey, lambda *parts: "/".join(parts))


def fresh(expire_ms: int | None = None) -> Instance:
    return Instance("i", "j", 1, 7, "", NOW, expire_ms)


def holding(*places: str) -> Holds:
    return lambda place: place in places


def outcomes(instance: Instance) -> list[tuple[str, str]]:
    return [(visit.step, visit.outcome) for visit in instance.visits]


def test_steps_that_take_no_time_are_taken_at_once() -> None:
    steps = (Branch("b", "r", "x"), GoTo("g", "e"), Send("x", "c", (2,), "t"), End("e"))
    moved = walk(*steps).begin(fresh(), holding("steps/b"))
    assert outcomes(moved.instance) == [("b", "held"), ("g", "went_on"), ("e", "ended")]
    assert (moved.instance.end_ms, moved.instance.end_reason) == (NOW, EndReason.COMPLETED)


def test_a_branch_goes_elsewhere_or_leaves() -> None:
    elsewhere = walk(Branch("b", "r", "w"), End("e"), Wait("w", HOUR))
    assert elsewhere.begin(fresh(), holding()).instance.step == "w"
    leaving = walk(Branch("b", "r"), Wait("w", HOUR)).begin(fresh(), holding()).instance
    assert (leaving.step, leaving.end_reason) == ("b", EndReason.CHECK_FAILED)


def test_a_time_after_the_entry_that_has_passed_is_no_wait() -> None:
    both = walk(Wait("w", HOUR), Wait("u", HOUR, after_entry=True), Wait("v", HOUR))
    waiting = both.begin(fresh(), holding()).instance
    assert waiting.due_ms == NOW + HOUR
    gone_on = both.fire(waiting, NOW + HOUR, holding()).instance
    assert outcomes(gone_on) == [("w", "waited"), ("u", "passed"), ("v", "")]
    assert gone_on.due_ms == NOW + 2 * HOUR


def test_a_rule_that_is_waited_for_goes_on_when_it_holds_and_when_time_is_over() -> None:
    made = walk(WaitFor("f", "r", HOUR, "late"), Wait("soon", HOUR), Wait("late", HOUR))
    waiting = made.begin(fresh(), holding()).instance
    assert made.look(waiting, NOW + 1, holding()).instance is waiting
    assert made.look(waiting, NOW + 1, holding("steps/f")).instance.step == "soon"
    assert made.fire(waiting, NOW + HOUR, holding()).instance.step == "late"
    assert made.begin(fresh(), holding("steps/f")).instance.step == "soon"


def test_a_send_stays_until_it_is_answered_whatever_the_answer_is() -> None:
    made = walk(Send("s", "c", (2,), "t"), Send("again", "c", (2,), "t"))
    asked = made.begin(fresh(), holding())
    assert [effect.intent_id for effect in asked.effects] == ["i/s/1"]
    assert asked.instance.next_ms is None
    answered = made.answered(asked.instance, "discarded: no_consent", NOW + 5, holding())
    assert outcomes(answered.instance) == [("s", "discarded: no_consent"), ("again", "")]
    assert [effect.intent_id for effect in answered.effects] == ["i/again/2"]


def test_an_exit_ends_a_send_that_waits_and_withdraws_its_message() -> None:
    made = walk(Send("s", "c", (2,), "t"), exit_rule="r")
    asked = made.begin(fresh(), holding()).instance
    left = made.look(asked, NOW + 1, holding("exit"))
    assert left.instance.end_reason is EndReason.EXIT_RULE
    assert left.effects == (CancelWanted("i/s/1", EndReason.EXIT_RULE, NOW + 1),)


def test_no_step_is_taken_at_or_after_the_expiry() -> None:
    made = walk(Send("s", "c", (2,), "t"), Wait("w", HOUR), expires_ms=HOUR)
    asked = made.begin(fresh(NOW + HOUR), holding()).instance
    assert asked.next_ms == NOW + HOUR
    over = made.answered(asked, "sent", NOW + HOUR, holding())
    assert (over.instance.end_reason, over.effects) == (EndReason.EXPIRED, ())
    assert outcomes(over.instance) == [("s", "sent")]
    cut = made.fire(asked, NOW + HOUR, holding())
    assert cut.effects == (CancelWanted("i/s/1", EndReason.EXPIRED, NOW + HOUR),)


def test_an_expiry_comes_before_a_wait_that_ends_at_the_same_instant() -> None:
    made = walk(Wait("w", HOUR), Send("s", "c", (2,), "t"), expires_ms=HOUR)
    waiting = made.begin(fresh(NOW + HOUR), holding()).instance
    assert made.fire(waiting, NOW + HOUR, holding()).instance.end_reason is EndReason.EXPIRED


def test_the_latest_visits_are_kept_and_all_are_counted() -> None:
    made = walk(Wait("w", HOUR), GoTo("g", "w"))
    instance = made.begin(fresh(), holding()).instance
    for number in range(1, 151):
        instance = made.fire(instance, NOW + number * HOUR, holding()).instance
    assert (len(instance.visits), instance.visit_count) == (VISITS_KEPT, 301)


def test_a_loop_without_a_wait_stops_the_walk() -> None:
    with pytest.raises(RuntimeError, match="loop without a wait"):
        walk(GoTo("a", "b"), GoTo("b", "a")).begin(fresh(), holding())


def test_of_two_that_entered_at_one_instant_the_greater_id_is_the_later() -> None:
    one, other = fresh(), replace(fresh(), instance_id="j")
    assert later_entered(one, other) is other
    assert later_entered(replace(one, entry_ms=NOW + 1), other).instance_id == "i"


def test_an_end_from_outside_closes_the_visit() -> None:
    waiting = walk(Wait("w", HOUR)).begin(fresh(), holding()).instance
    over = end(waiting, NOW + 1, EndReason.STOPPED).instance
    assert outcomes(over) == [("w", "stopped")]
    assert over.next_ms is None


@pytest.mark.parametrize(
    ("entry", "since_ms", "may"),
    [
        (Entry("a"), 0, True),
        (Entry("a", reentry=Reentry.NEVER), 10 * HOUR, False),
        (Entry("a", reentry=Reentry.AFTER, reentry_after_ms=HOUR), HOUR - 1, False),
        (Entry("a", reentry=Reentry.AFTER, reentry_after_ms=HOUR), HOUR, True),
    ],
)
def test_exactly_enough_time_is_enough_to_enter_again(
    entry: Entry, since_ms: int, *, may: bool
) -> None:
    assert may_reenter(entry, None, NOW)
    assert may_reenter(entry, NOW - since_ms, NOW) is may


def test_exactly_as_late_as_allowed_is_in_time() -> None:
    entry = Entry(rows="r", max_lateness_ms=HOUR)
    assert in_time(entry, NOW - HOUR, NOW)
    assert not in_time(entry, NOW - HOUR - 1, NOW)
    assert in_time(Entry(rows="r"), 0, NOW)
