"""What can be wrong with a journey whatever the state is; each mistake with its path."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import assert_never

from services.journey.domain.definition import (
    Branch,
    End,
    Entry,
    GoTo,
    Journey,
    Key,
    Reentry,
    Send,
    Step,
    Wait,
    WaitFor,
)
from services.journey.domain.paths import timeless_loops, unreachable
from services.kit.errors import FieldMistake
from services.kit.names import ID_FORM

DAY_MS = 86_400_000
SHORTEST_MS = 1000
"""The log's time is told each second; a loop of shorter waits would be busy for one person."""
LONGEST_MS = 3653 * DAY_MS
"""Ten years with their leap days: nobody means more, and a slip of a unit is found."""
STEPS_MAX = 100
DISPLAY_NAME_MAX = 256
CHANNELS_MAX = 8

_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_CAMPAIGN = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LENGTH = "at least a second and at most ten years"


def check_fields(journey: Journey, display_name: str = "") -> list[FieldMistake]:
    """Return the mistakes of each field, in their order."""
    return [
        *_check_head(journey, display_name),
        *_check_entry(journey),
        *_check_steps(journey),
    ]


def check_paths(journey: Journey) -> list[FieldMistake]:
    """Return what is wrong with the ways through a journey whose fields are right."""
    unreached = [
        FieldMistake(f"journey.steps[{place}]", "expected a way to this step, found none")
        for place in sorted(unreachable(journey))
    ]
    return unreached + [_loop_mistake(journey, loop) for loop in timeless_loops(journey)]


def _check_head(journey: Journey, display_name: str) -> Iterator[FieldMistake]:
    if (found := len(display_name)) > DISPLAY_NAME_MAX:
        expected = f"at most {DISPLAY_NAME_MAX} characters"
        yield FieldMistake("journey.display_name", f"expected {expected}, found {found}")
    if journey.expires_after_ms is not None:
        yield from _check_length("journey.expires_after", journey.expires_after_ms)


def _check_entry(journey: Journey) -> Iterator[FieldMistake]:
    entry = journey.entry
    by_audience = not entry.rows
    if by_audience and entry.key is not Key.PERSON:
        yield FieldMistake(
            "journey.entry.key", f"expected entry by rows for a key of {entry.key}, found audience"
        )
    yield from _check_reentry(entry)
    if entry.restart_first_wait and by_audience:
        yield FieldMistake(
            "journey.entry.restart_first_wait", "expected entry by rows, found an audience"
        )
    elif entry.restart_first_wait and not (journey.steps and isinstance(journey.steps[0], Wait)):
        yield FieldMistake(
            "journey.entry.restart_first_wait", "expected a first step that is a wait, found none"
        )
    if entry.max_lateness_ms is not None and entry.max_lateness_ms < 0:
        yield FieldMistake("journey.entry.max_lateness", "expected zero or more, found less")


def _check_reentry(entry: Entry) -> Iterator[FieldMistake]:
    path = "journey.entry.reentry_after"
    if entry.reentry is Reentry.AFTER:
        yield from _check_length(path, entry.reentry_after_ms)
    elif entry.reentry_after_ms:
        yield FieldMistake(path, f"expected it with REENTRY_AFTER only, found {entry.reentry}")


def _check_steps(journey: Journey) -> Iterator[FieldMistake]:
    if not 1 <= (found := len(journey.steps)) <= STEPS_MAX:
        yield FieldMistake("journey.steps", f"expected 1 to {STEPS_MAX} steps, found {found}")
    times = Counter(step.step for step in journey.steps)
    seen: set[str] = set()
    for place, step in enumerate(journey.steps):
        path = f"journey.steps[{place}]"
        if not _ID.fullmatch(step.step):
            yield FieldMistake(f"{path}.id", f"expected {ID_FORM}, found another text")
        elif times[step.step] > 1 and step.step in seen:
            yield FieldMistake(
                f"{path}.id", f"expected an id of its own, found `{step.step}` again"
            )
        seen.add(step.step)
        yield from _check_step(path, step, journey)


def _check_step(path: str, step: Step, journey: Journey) -> Iterator[FieldMistake]:
    match step:
        case Wait():
            length = "until_after_entry" if step.after_entry else "duration"
            yield from _check_length(f"{path}.wait.{length}", step.duration_ms)
        case WaitFor():
            if not step.rule.strip():
                yield FieldMistake(f"{path}.wait_for.rule", "expected a rule, found nothing")
            yield from _check_length(f"{path}.wait_for.timeout", step.timeout_ms)
            yield from _check_target(f"{path}.wait_for.timeout_step", step.timeout_step, journey)
        case Branch():
            if not step.rule.strip():
                yield FieldMistake(f"{path}.branch.rule", "expected a rule, found nothing")
            yield from _check_target(f"{path}.branch.else_step", step.else_step, journey)
        case Send():
            yield from _check_send(f"{path}.send", step)
        case GoTo():
            if not step.target:
                yield FieldMistake(f"{path}.go_to.step", "expected a step, found nothing")
            yield from _check_target(f"{path}.go_to.step", step.target, journey)
        case End():
            pass
        case _:
            assert_never(step)


def _check_send(path: str, send: Send) -> Iterator[FieldMistake]:
    if not _CAMPAIGN.fullmatch(send.campaign):
        form = "1 to 64 characters of a-z, 0-9, `-` and `_`, beginning with a letter"
        yield FieldMistake(f"{path}.campaign", f"expected {form}, found another text")
    if not 1 <= (found := len(send.channels)) <= CHANNELS_MAX:
        expected = f"1 to {CHANNELS_MAX} channels"
        yield FieldMistake(f"{path}.channels", f"expected {expected}, found {found}")
    for place, channel in enumerate(send.channels):
        if channel in send.channels[:place]:
            yield FieldMistake(f"{path}.channels[{place}]", "expected each channel once")


def _check_length(path: str, length_ms: int) -> Iterator[FieldMistake]:
    if not SHORTEST_MS <= length_ms <= LONGEST_MS:
        found = f"{length_ms / 1000:,.15g} seconds" if length_ms else "none"
        yield FieldMistake(path, f"expected {_LENGTH}, found {found}")


def _check_target(path: str, step_id: str, journey: Journey) -> Iterator[FieldMistake]:
    if step_id and step_id not in journey.places:
        yield FieldMistake(path, f"expected the id of a step, found `{step_id[:64]}`")


def _loop_mistake(journey: Journey, loop: Sequence[int]) -> FieldMistake:
    way = " -> ".join(journey.steps[place].step for place in (*loop, loop[0]))
    return FieldMistake(
        f"journey.steps[{loop[0]}]",
        f"expected a wait of some duration in every loop, found none in {way}",
    )
