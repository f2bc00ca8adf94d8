"""Bad definitions: each is refused with the path of what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from journey_stage import (
    DAY,
    HOUR,
    branch,
    by_audience,
    by_rows,
    go_to,
    send,
    wait,
    wait_for,
)

from coterie.journey.v1 import journey_pb2
from services.journey.compiling import compile_rules
from services.journey.domain.checks import LONGEST_MS, check_fields, check_paths
from services.journey.wire import journey_of
from services.kit.errors import FieldMistake
from services.kit.rules import Vocabulary

Journey = journey_pb2.Journey


def mistakes(message: Journey) -> list[str]:
    found: list[FieldMistake] = []
    journey = journey_of("j", 1, message, found)
    found += check_fields(journey, message.display_name)
    if not found:
        found += check_paths(journey)
    assert all(each.description for each in found)
    return [each.field.removeprefix("journey.") for each in found]


def good() -> Journey:
    return by_audience(
        "a",
        wait("w", DAY),
        branch("b", "other"),
        wait_for("f", HOUR, "other"),
        send("s"),
        go_to("g", "w"),
        journey_pb2.Step(id="other", end=journey_pb2.End()),
    )


def changed(change: Callable[[Journey], object], message: Journey | None = None) -> Journey:
    made = message or good()
    change(made)
    return made


def test_a_good_journey_has_no_mistakes() -> None:
    assert mistakes(good()) == []


def set_ms(path: str, length_ms: int) -> Callable[[Journey], object]:
    def change(message: Journey) -> None:
        found = message
        *way, last = path.split(".")
        for name in way:
            part, _, place = name.partition("[")
            found = getattr(found, part)
            if place:
                found = found[int(place[:-1])]  # type: ignore[index]
        getattr(found, last).FromMilliseconds(length_ms)

    return change


@pytest.mark.parametrize(
    ("path", "length_ms"),
    [
        ("steps[0].wait.duration", 0),
        ("steps[0].wait.duration", -HOUR),
        ("steps[0].wait.duration", LONGEST_MS + 1),
        ("steps[2].wait_for.timeout", 0),
        ("steps[2].wait_for.timeout", LONGEST_MS + 1),
        ("expires_after", 0),
        ("entry.max_lateness", -1),
        ("entry.reentry_after", HOUR),
    ],
)
def test_a_length_that_cannot_be_is_named(path: str, length_ms: int) -> None:
    assert mistakes(changed(set_ms(path, length_ms))) == [path]


def test_ten_years_are_the_longest() -> None:
    assert mistakes(changed(set_ms("steps[0].wait.duration", LONGEST_MS))) == []


CORPUS: list[tuple[Callable[[Journey], object], list[str]]] = [
    (lambda j: j.ClearField("steps"), ["steps"]),
    (lambda j: j.steps.extend([wait(f"x{n}", HOUR) for n in range(100)]), ["steps"]),
    (lambda j: j.steps[0].ClearField("wait"), ["steps[0]"]),
    (lambda j: j.steps[0].wait.Clear(), ["steps[0].wait"]),
    (lambda j: setattr(j.steps[0], "id", ""), ["steps[0].id", "steps[4].go_to.step"]),
    (lambda j: setattr(j.steps[1], "id", "f"), ["steps[2].id"]),
    (lambda j: setattr(j.steps[1], "id", "B b"), ["steps[1].id"]),
    (lambda j: setattr(j.steps[4].go_to, "step", "nowhere"), ["steps[4].go_to.step"]),
    (lambda j: setattr(j.steps[4].go_to, "step", ""), ["steps[4].go_to.step"]),
    (lambda j: setattr(j.steps[1].branch, "else_step", "x"), ["steps[1].branch.else_step"]),
    (lambda j: setattr(j.steps[1].branch, "rule", " "), ["steps[1].branch.rule"]),
    (lambda j: setattr(j.steps[2].wait_for, "rule", ""), ["steps[2].wait_for.rule"]),
    (
        lambda j: setattr(j.steps[2].wait_for, "timeout_step", "x"),
        ["steps[2].wait_for.timeout_step"],
    ),
    (lambda j: j.steps[2].wait_for.ClearField("timeout"), ["steps[2].wait_for.timeout"]),
    (lambda j: j.steps[3].send.ClearField("channels"), ["steps[3].send.channels"]),
    (lambda j: j.steps[3].send.channels.append(0), ["steps[3].send.channels[1]"]),
    (lambda j: j.steps[3].send.channels.append(2), ["steps[3].send.channels[1]"]),
    (lambda j: setattr(j.steps[3].send, "campaign", "A campaign"), ["steps[3].send.campaign"]),
    (lambda j: setattr(j.steps[3].send, "campaign", ""), ["steps[3].send.campaign"]),
    (lambda j: setattr(j.steps[3].send, "template", "hello"), ["steps[3].send.template"]),
    (lambda j: setattr(j.steps[3].send, "purpose", 7), ["steps[3].send.purpose"]),
    (lambda j: setattr(j.steps[3].send, "timing", 7), ["steps[3].send.timing"]),
    (lambda j: j.ClearField("entry"), ["entry"]),
    (lambda j: setattr(j.entry, "audience", "vip"), ["entry.audience"]),
    (lambda j: setattr(j.entry, "key", journey_pb2.KEY_EVENT), ["entry.key"]),
    (lambda j: setattr(j.entry, "key", 9), ["entry.key"]),
    (lambda j: setattr(j.entry, "reentry", 9), ["entry.reentry"]),
    (lambda j: setattr(j.entry, "reentry", journey_pb2.REENTRY_AFTER), ["entry.reentry_after"]),
    (lambda j: setattr(j.entry, "restart_first_wait", True), ["entry.restart_first_wait"]),
    (lambda j: setattr(j, "display_name", "x" * 257), ["display_name"]),
    (lambda j: j.steps.insert(5, wait("lost", HOUR)), ["steps[5]"]),
]


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_a_bad_definition_is_refused_with_its_path(number: int) -> None:
    change, expected = CORPUS[number]
    assert mistakes(changed(change)) == expected


def test_every_mistake_is_named_at_once() -> None:
    wrong = by_audience("a", wait("w", 0), go_to("g", "x"))
    wrong.expires_after.FromMilliseconds(0)
    assert mistakes(wrong) == ["expires_after", "steps[0].wait.duration", "steps[1].go_to.step"]


@pytest.mark.parametrize(
    "steps",
    [
        [go_to("a", "a")],
        [branch("a"), go_to("b", "a")],
        [wait("a", HOUR), branch("b", "d"), go_to("c", "a"), send("d"), go_to("e", "b")],
        [wait("a", HOUR, after_entry=True), go_to("b", "a")],
        [wait_for("a", HOUR), go_to("b", "a")],
        [send("a"), go_to("b", "a")],
    ],
)
def test_a_loop_that_may_take_no_time_is_refused(steps: list[journey_pb2.Step]) -> None:
    (found,) = mistakes(by_audience("a", *steps))
    assert found.startswith("steps[")


@pytest.mark.parametrize(
    "steps",
    [
        [wait("a", 1000), go_to("b", "a")],
        [send("a"), wait("b", HOUR), go_to("c", "a")],
        [branch("a", "c"), wait("b", HOUR), wait("c", HOUR), go_to("d", "a")],
    ],
)
def test_a_loop_in_which_time_passes_is_fine(steps: list[journey_pb2.Step]) -> None:
    assert mistakes(by_audience("a", *steps)) == []


def test_a_first_wait_can_begin_again_only_where_the_first_step_is_one() -> None:
    fine = by_rows(0, wait("w", HOUR))
    fine.entry.restart_first_wait = True
    assert mistakes(fine) == []
    wrong = by_rows(0, send("s"))
    wrong.entry.restart_first_wait = True
    assert mistakes(wrong) == ["entry.restart_first_wait"]


def test_what_time_alone_changes_may_be_asked_at_a_branch_and_not_waited_for() -> None:
    moving = 'events("visit").since(trigger).last(days(1)).exists()'
    message = by_rows(journey_pb2.KEY_EVENT, branch("b"), wait_for("f", HOUR), send("s"))
    message.entry.rows, message.exit_rule = 'events("visit")', moving
    for step in message.steps[:2]:
        getattr(step, step.WhichOneof("action")).rule = moving
    journey = journey_of("j", 1, message, [])
    compiled = compile_rules(journey, Vocabulary({}, {"visit": {}}))
    assert [each.field for each in compiled.mistakes] == [
        "journey.exit_rule",
        "journey.steps[1].wait_for.rule",
    ]
    assert list(compiled.conditions_json) == ["entry.rows", "steps/b"]
