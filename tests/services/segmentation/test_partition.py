"""What one partition keeps about memberships: since when, why, and through merges."""

from segcore import Event
from segcore.rule import Aggregate, Fold, Not, Rows, Scope
from segcore.rule_json import to_json
from services.segmentation.domain import Cause, Definition
from services.segmentation.partition import Partition
from services.segmentation.transitions import Transition

HOUR = 3_600_000
T0 = 1_767_268_800_000
VISITED = Aggregate(Rows(Scope.EVENT, ("visit",), last_ms=HOUR), Fold.EXISTS)


def partition(rule: Aggregate | Not = VISITED) -> Partition:
    made = Partition(0)
    made.pass_time(T0, inclusive=False)
    made.propose(Definition("visited", 1, "Visited", "text", to_json(rule), T0, "req-1"))
    made.activate("visited", 1)
    return made


def visit(made: Partition, ordinal: int, at_ms: int, event_id: str) -> list[Transition]:
    made.pass_time(at_ms, inclusive=False)
    return made.add_event(ordinal, Event(event_id, "visit", at_ms, at_ms, "crm:x", {}, ()))


def test_transitions_of_one_person_are_numbered_and_say_why() -> None:
    made = partition()
    (entered,) = visit(made, 7, T0, "e1")
    changes = made.pass_time(T0 + HOUR, inclusive=True)
    assert changes is not None
    left = changes.flips[0]
    assert (entered.sequence, entered.entered, entered.cause, entered.cause_id) == (
        1,
        True,
        Cause.EVENT,
        "e1",
    )
    assert (left["entered"], left["at_ms"], left["clock"]) == (False, T0 + HOUR, True)
    assert changes.numbers.tolist() == [2]
    membership = made.membership("visited", 7, 7)
    assert membership.change is not None
    assert membership.change.cause is Cause.CLOCK
    assert (membership.member, membership.change.enter_ms, membership.change.exit_ms) == (
        False,
        T0,
        T0 + HOUR,
    )


def test_who_entered_with_the_definition_has_that_as_the_reason_until_something_changes() -> None:
    made = Partition(0)
    made.pass_time(T0, inclusive=False)
    visit(made, 3, T0, "old")
    made.propose(Definition("visited", 1, "Visited", "text", to_json(VISITED), T0, "req-1"))
    (bulk,) = made.activate("visited", 1)
    assert bulk.people
    change = made.membership("visited", 3, 3).change
    assert change is not None
    assert (change.cause, change.enter_ms) == (Cause.DEFINITION, T0)
    made.pass_time(T0 + HOUR, inclusive=True)
    change = made.membership("visited", 3, 3).change
    assert change is not None
    assert (change.enter_ms, change.exit_ms) == (T0, T0 + HOUR)


def test_two_members_that_become_one_have_been_in_since_the_earlier_entry() -> None:
    made = partition()
    visit(made, 1, T0, "e1")
    visit(made, 2, T0 + 1000, "e2")
    assert made.merge(2, 1, "m1") == []
    change = made.membership("visited", 2, 2).change
    assert change is not None
    assert change.enter_ms == T0
    assert made.current(1) == 2


def test_a_membership_that_only_the_absorbed_half_had_goes_on_without_a_new_entry() -> None:
    made = partition()
    made.know(2, "c1")
    visit(made, 1, T0, "e1")
    assert made.merge(2, 1, "m1") == []
    membership = made.membership("visited", 2, 2)
    assert membership.member
    assert membership.change is not None
    assert (membership.change.enter_ms, membership.change.cause_id) == (T0, "e1")


def test_a_member_whose_united_history_does_not_qualify_leaves_by_the_merge() -> None:
    made = partition(Not(VISITED))
    made.know(2, "c1")
    visit(made, 1, T0, "e1")
    (left,) = made.merge(2, 1, "m1")
    assert (left.entered, left.cause, left.cause_id, left.ordinal) == (False, Cause.MERGE, "m1", 2)


def test_the_second_definition_of_an_id_and_an_activation_of_another_version_do_nothing() -> None:
    made = partition()
    rival = Definition("visited", 1, "Rival", "text", to_json(Not(VISITED)), T0, "req-2")
    made.propose(rival)
    assert made.definitions["visited"].display_name == "Visited"
    assert made.activate("visited", 2) == []
    assert made.activate("visited", 1) == []
    assert made.activate("unknown", 1) == []


def test_what_either_half_has_left_before_is_known_of_the_united_person() -> None:
    made = partition()
    visit(made, 1, T0, "e1")
    made.pass_time(T0 + 2 * HOUR, inclusive=True)
    made.know(2, "c1")
    assert made.merge(2, 1, "m1") == []
    change = made.membership("visited", 2, 2).change
    assert change is not None
    assert (change.enter_ms, change.exit_ms, change.cause) == (T0, T0 + HOUR, Cause.CLOCK)


def test_of_two_pasts_the_later_entry_and_the_later_exit_count() -> None:
    made = partition()
    visit(made, 1, T0, "e1")
    visit(made, 2, T0 + 2 * HOUR, "e2")
    made.pass_time(T0 + 4 * HOUR, inclusive=True)
    assert made.merge(1, 2, "m1") == []
    change = made.membership("visited", 1, 1).change
    assert change is not None
    assert (change.enter_ms, change.exit_ms) == (T0 + 2 * HOUR, T0 + 3 * HOUR)
