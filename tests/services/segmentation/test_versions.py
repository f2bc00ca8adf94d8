"""Versions of audiences in one partition: what fits, what is swapped with what, what is let go."""

from dataclasses import replace
from typing import Any

import pytest

from segcore import Event
from segcore.rule import Aggregate, All, Expression, Fold, InAudience, Not, Rows, Scope
from segcore.rule_json import to_json
from services.segmentation.definitions import references_in, renamed
from services.segmentation.domain import Definition, State
from services.segmentation.partition import Partition
from services.segmentation.transitions import Transition

T0 = 1_767_268_800_000


def did(kind: str) -> Aggregate:
    return Aggregate(Rows(Scope.EVENT, (kind,)), Fold.EXISTS)


def version(audience_id: str, number: int, rule: Expression) -> Definition:
    return Definition(
        audience_id, number, "A name", "", to_json(rule), T0, f"{audience_id}{number}"
    )


def partition(*definitions: Definition) -> Partition:
    made = Partition(0)
    made.pass_time(T0, inclusive=False)
    for ordinal, kind in ((1, "visit"), (2, "purchase")):
        made.know(ordinal, "")
        made.add_event(ordinal, Event(kind, kind, T0, T0, "crm:x", {}, ()))
    for each in definitions:
        made.propose(each)
        made.activate(each.audience_id, each.version)
    return made


def shown(transitions: list[Transition]) -> list[tuple[str, bool]]:
    return [(each.audience_id, each.entered) for each in transitions]


def test_what_depends_on_a_swapped_audience_is_swapped_in_the_same_step_parents_first() -> None:
    made = partition(
        version("a", 1, did("visit")),
        version("c", 1, InAudience("a")),
        version("b", 1, Not(InAudience("c"))),
        version("far", 1, All((InAudience("b"), InAudience("a")))),
    )
    made.propose(version("a", 2, did("purchase")))
    changed = made.activate("a", 2)
    assert shown(changed) == [
        ("a", True),
        ("a", False),
        ("c", True),
        ("c", False),
        ("b", True),
        ("b", False),
    ]
    assert [list(made.members(each)) for each in ("a", "c", "b", "far")] == [[2], [2], [1], []]
    (entered,) = made.add_event(1, Event("p1", "purchase", T0, T0, "crm:x", {}, ()))[:1]
    assert (entered.audience_id, entered.version) == ("a", 2)


def test_the_engine_keeps_nothing_of_what_nobody_sees() -> None:
    made = partition(version("a", 1, did("visit")), version("b", 1, InAudience("a")))
    for number in range(2, 6):
        made.propose(version("a", number, did("purchase" if number % 2 else "visit")))
        made.versions.make_ready("a", number)
        assert made.versions.is_ready("a", number)
    made.activate("a", 5)
    assert len(made.engine.audiences()) == 2
    assert [each.state for each in made.versions.library.versions("a")] == [
        State.ACTIVE,
        State.DISCARDED,
        State.DISCARDED,
        State.DISCARDED,
        State.FORMER,
    ]
    assert shown(made.delete("a")) == []
    made.delete("b")
    made.delete("a")
    assert made.engine.audiences() == ()


def test_a_version_that_is_just_being_swapped_in_is_not_one_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = partition(version("a", 1, did("visit")))
    made.propose(version("a", 2, did("purchase")))
    made.versions.make_ready("a", 2)
    seen = []
    evaluate = made.versions.builds.evaluate

    def look(*number: Any) -> None:
        seen.append(made.versions.is_ready("a", 2))  # as who asks for progress without the lock
        evaluate(*number)

    monkeypatch.setattr(made.versions.builds, "evaluate", look)
    made.activate("a", 2)
    assert seen == [False]


def test_a_next_version_follows_an_audience_that_is_swapped_below_it() -> None:
    made = partition(version("a", 1, did("visit")), version("b", 1, did("visit")))
    made.propose(version("b", 2, Not(InAudience("a"))))
    made.versions.make_ready("b", 2)
    made.propose(version("a", 2, did("purchase")))
    made.activate("a", 2)
    assert not made.versions.is_ready("b", 2)
    made.versions.make_ready("b", 2)
    assert [list(each) for each in made.versions.difference("b")] == [[], []]
    assert shown(made.activate("b", 2)) == []


def test_what_does_not_fit_any_more_is_no_version() -> None:
    made = partition(version("a", 1, did("visit")), version("b", 1, InAudience("a")))
    for wrong in (
        version("a", 2, InAudience("b")),
        version("a", 2, InAudience("a")),
        version("a", 2, InAudience("nobody")),
        version("a", 3, did("visit")),
        replace(version("a", 2, did("visit")), owner="journeys/w/versions/1"),
    ):
        made.propose(wrong)
        assert made.versions.library.newest("a") == 1


def test_references_are_found_and_renamed_wherever_they_are() -> None:
    rule = All((InAudience("a"), Not(All((InAudience("b"), did("visit"))))))
    assert references_in(rule) == {"a", "b"}
    assert references_in(renamed(rule, {"a": "a#1"})) == {"a#1", "b"}
