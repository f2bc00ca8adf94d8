"""The rules of a journey to what the stage runs, and to the audiences that it owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segcore.rule import Rows, Scope
from segcore.rule_json import to_json
from services.journey.conditions import rows_to_json
from services.journey.domain.definition import (
    ENTRY_ROWS,
    ENTRY_RULE,
    EXIT,
    Branch,
    Journey,
    Key,
    WaitFor,
    rules_of,
    step_place,
)
from services.kit.errors import FieldMistake
from services.kit.rules import (
    RuleError,
    Situation,
    Vocabulary,
    compile_condition,
    compile_entry,
)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The conditions by place, and the rules of the audiences that they ask for, by their ids."""

    conditions_json: Mapping[str, str]
    owned: Mapping[str, str]
    mistakes: Sequence[FieldMistake]


def compile_rules(journey: Journey, vocabulary: Vocabulary) -> Compiled:
    """Compile every rule of a journey; what is wrong with one is a mistake with its path."""
    mistakes: list[FieldMistake] = []
    conditions: dict[str, str] = {}
    owned: dict[str, str] = {}
    rows = _entry_rows(journey, vocabulary, mistakes)
    if rows is not None:
        conditions[ENTRY_ROWS] = rows_to_json(rows)
    situation = Situation(
        has_trigger=bool(journey.entry.rows),
        has_item_key=journey.entry.key is Key.ITEM,
        has_key=journey.entry.key is not Key.PERSON,
        trigger_types=() if rows is None else tuple(rows.types),
    )
    paths = _paths(journey)
    lasting = {EXIT, *(step_place(s.step) for s in journey.steps if isinstance(s, WaitFor))}
    for place, text in rules_of(journey).items():
        first = len(owned)

        def owned_id(number: int, first: int = first) -> str:
            return f"{journey.journey_id}.{journey.version}.{first + number}"

        try:
            found = compile_condition(
                text, vocabulary, situation, owned_id, lasting=place in lasting
            )
        except RuleError as error:
            mistakes.append(FieldMistake(paths[place], error.message))
        else:
            conditions[place] = to_json(found.expression)
            owned.update(found.owned)
    return Compiled(conditions, owned, mistakes)


def _entry_rows(
    journey: Journey, vocabulary: Vocabulary, mistakes: list[FieldMistake]
) -> Rows | None:
    entry = journey.entry
    if not entry.rows:
        return None
    try:
        rows = compile_entry(entry.rows, vocabulary)
    except RuleError as error:
        mistakes.append(FieldMistake("journey.entry.rows", error.message))
        return None
    if entry.key is Key.ITEM and rows.scope is not Scope.ITEM:
        mistakes.append(
            FieldMistake("journey.entry.key", "expected `items(...)` for a key of item, found none")
        )
    return rows


def _paths(journey: Journey) -> dict[str, str]:
    """Return where in the request the rule of each place stands."""
    paths = {ENTRY_RULE: "journey.entry.rule", EXIT: "journey.exit_rule"}
    for number, step in enumerate(journey.steps):
        if isinstance(step, WaitFor | Branch):
            action = "wait_for" if isinstance(step, WaitFor) else "branch"
            paths[step_place(step.step)] = f"journey.steps[{number}].{action}.rule"
    return paths
