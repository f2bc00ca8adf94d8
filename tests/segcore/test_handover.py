"""A person leaves one engine and comes to another: what goes along, and what nobody is told."""

import pytest

from segcore import AttributeChange, Departed, Engine, Event, History
from segcore.rule import Aggregate, Attribute, Compare, Comparison, Fold, Kind, Literal, Rows, Scope

NOW = 1_000
WINDOW = 100
BOUGHT = Aggregate(Rows(Scope.EVENT, ("buy",), None, WINDOW), Fold.EXISTS)
NEVER_SEEN = Compare(
    Comparison.EQ, Aggregate(Rows(Scope.EVENT, ("view",)), Fold.COUNT), Literal(0, Kind.NUMBER)
)
GOLD = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))


def engine(*names: str) -> Engine:
    made = Engine()
    made.advance(NOW, inclusive=False)
    rules = {"bought": BOUGHT, "never-seen": NEVER_SEEN, "gold": GOLD}
    for name in names or rules:
        made.add_audience(name, 1, rules[name])
        made.activate(name, 1)
    return made


def bought(event_id: str, occurred_ms: int = NOW - 10) -> Event:
    return Event(event_id, "buy", occurred_ms, NOW, "crm:1", {"total": 1.5})


def test_who_leaves_is_in_nothing_and_has_no_timer() -> None:
    old = engine()
    old.add_event(1, bought("e1"))
    old.set_attributes(1, {"tier": "gold"}, 5, 77)
    departed = old.forget(1)
    assert departed == Departed(
        (bought("e1"),),
        ((77, AttributeChange({"tier": "gold"}, 5)),),
        ("bought", "never-seen", "gold"),
    )
    assert [list(old.members(name)) for name in departed.audiences] == [[], [], []]
    assert (old.next_due_ms(), old.profile_count, old.history(1)) == (None, 0, History())
    assert old.advance(NOW + WINDOW, inclusive=True) == []


def test_a_new_audience_does_not_count_the_events_of_those_who_left() -> None:
    old = engine("gold")
    old.add_event(1, bought("e1"))
    old.add_event(2, bought("e2"))
    old.add_audience("building", 1, NEVER_SEEN)
    old.forget(1)
    old.add_audience("bought", 1, BOUGHT)
    assert list(old.activate("bought", 1)) == [2]
    assert list(old.activate("building", 1)) == [2]
    assert [change.ordinal for change in old.ensure_profile(3)] == [3]


def test_who_comes_is_where_the_person_was_and_nothing_is_told() -> None:
    old, new = engine(), engine("bought", "never-seen")
    old.add_event(1, bought("e1"))
    departed = old.forget(1)
    new.take_in(9, departed)
    assert [list(new.members(name)) for name in ("bought", "never-seen")] == [[9], [9]]
    assert new.history(9).events == departed.events
    (left,) = new.advance(NOW + WINDOW, inclusive=True)
    assert (left.ordinal, left.entered, left.at_ms) == (9, False, NOW - 10 + WINDOW)


def test_a_merge_with_who_comes_is_a_merge() -> None:
    old, new = engine(), engine()
    old.add_event(1, bought("e1"))
    new.ensure_profile(2)
    new.take_in(9, old.forget(1))
    merged = new.merge(2, 9)
    assert (merged.changes, merged.inherited) == ([], ("bought",))
    assert [event.event_id for event in new.history(2).events] == ["e1"]


@pytest.mark.parametrize(("here", "there", "tier"), [(5, 7, "gold"), (7, 5, "silver")])
def test_of_two_values_of_one_instant_the_later_arrival_wins(
    here: int, there: int, tier: str
) -> None:
    old, new = engine(), engine()
    new.set_attributes(2, {"tier": "silver"}, NOW, here)
    old.set_attributes(1, {"tier": "gold"}, NOW, there)
    new.take_in(9, old.forget(1))
    new.merge(2, 9)
    assert new.history(2).attribute_changes[0].values == {"tier": tier}
    assert new.arrivals == 7


def test_what_cannot_be_taken_in_changes_nothing() -> None:
    new = engine()
    new.ensure_profile(1)
    before = new.state_hash()
    with pytest.raises(ValueError, match="expected a new profile"):
        new.take_in(1, Departed((), (), ()))
    with pytest.raises(ValueError, match="occurred_ms: expected at most"):
        new.take_in(2, Departed((bought("e1"), bought("e2", NOW + 1)), (), ()))
    too_much = AttributeChange({"spent": 1e300}, 0)
    with pytest.raises(ValueError, match="spent: expected a number"):
        new.take_in(2, Departed((bought("e1"),), ((1, too_much),), ()))
    assert new.state_hash() == before
