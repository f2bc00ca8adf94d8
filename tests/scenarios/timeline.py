"""The timeline of a file as single inputs in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.scenarios.document import Document
from tests.scenarios.faults import ScenarioError
from tests.scenarios.scenario import INPUT_KINDS, Input
from tests.scenarios.times import duration_ms, instant_ms


def read_inputs(document: Document) -> tuple[Input, ...]:
    """Return the inputs by instant, those of one instant in file order; raises ScenarioError."""
    inputs: list[Input] = []
    for index, entry in enumerate(document.content["timeline"]):
        place = document.place(["timeline", index])
        at_ms = instant_ms(entry["at"])
        if "repeat" in entry:
            inputs.extend(_repeated(entry["repeat"], at_ms, place))
        else:
            inputs.append(_single(entry, at_ms, place))
    return tuple(sorted(inputs, key=lambda each: each.at_ms))


def _repeated(repeat: dict[str, Any], at_ms: int, place: str) -> Iterator[Input]:
    first, last = repeat["i"]
    step_ms = duration_ms(repeat["step"]) if "step" in repeat else 0
    for i in range(first, last + 1):
        for entry in repeat["do"]:
            plus_ms = duration_ms(entry["plus"]) if "plus" in entry else 0
            yield _single(_filled(entry, str(i)), at_ms + step_ms * (i - first) + plus_ms, place)


def _single(entry: dict[str, Any], at_ms: int, place: str) -> Input:
    kinds = [key for key in entry if key not in ("at", "note", "plus")]
    if len(kinds) != 1 or kinds[0] not in INPUT_KINDS:
        expected = ", ".join(INPUT_KINDS)
        raise ScenarioError(f"{place}: expected one of {expected}, found {kinds}")
    return Input(at_ms, kinds[0], entry[kinds[0]], place)


def _filled(value: Any, i: str) -> Any:
    if isinstance(value, str):
        return value.replace("{i}", i)
    if isinstance(value, list):
        return [_filled(each, i) for each in value]
    if isinstance(value, dict):
        return {_filled(key, i): _filled(each, i) for key, each in value.items()}
    return value
