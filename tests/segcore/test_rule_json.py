"""Rules as JSON: one text for one rule, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drawn import rules
from hypothesis import given
from hypothesis import strategies as st

from segcore.rule import (
    Aggregate,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    ItemField,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)
from segcore.rule_json import from_json, to_json, without_offsets

sample = Not(
    Compare(
        Comparison.GE,
        Aggregate(Rows(Scope.EVENT, ("buy",), None, 50, at=4), Fold.COUNT, at=2),
        Literal(2_000_000, Kind.NUMBER),
        at=1,
    ),
    at=0,
)


@given(rules(("a",), depth=3))
def test_a_rule_comes_back_as_it_was(rule: Expression) -> None:
    text = to_json(rule)
    assert from_json(text) == rule
    assert to_json(from_json(json.dumps(json.loads(text), indent=2))) == text


def test_the_text_is_canonical() -> None:
    assert to_json(Literal("é", Kind.TEXT)) == '{"kind":"text","node":"Literal","value":"é"}'
    assert '"at":1' in to_json(sample)
    assert '"at"' not in to_json(without_offsets(sample))


def test_filters_that_rows_lack_are_left_out() -> None:
    bare = to_json(Aggregate(Rows(Scope.EVENT, ("buy",)), Fold.EXISTS))
    assert bare == (
        '{"fold":"exists","node":"Aggregate","operand":null,"rows":'
        '{"last_ms":null,"node":"Rows","scope":"event","types":["buy"],"where":null}}'
    )
    full = Aggregate(
        Rows(
            Scope.EVENT,
            ("buy",),
            older_ms=5,
            calendar_days=7,
            from_times=(Literal(1, Kind.TIME),),
            key=EventField("sku", Kind.TEXT),
            follows=(
                Follow(
                    Rows(Scope.ITEM, ("buy",), key=ItemField("sku", Kind.TEXT)),
                    None,
                    absent=True,
                    at=9,
                ),
            ),
        ),
        Fold.EXISTS,
    )
    assert from_json(to_json(full)) == full
    assert '"at"' not in to_json(without_offsets(full))


def test_literals_of_lists_hold_texts_alone() -> None:
    tags = Literal(("a", "é"), Kind.TEXTS)
    assert to_json(tags) == '{"kind":"texts","node":"Literal","value":["a","é"]}'
    assert from_json(to_json(tags)) == tags
    for value, message in (
        ("[1]", r"\$\.value\[0\]: expected a value of type str"),
        ('"a"', r"\$\.value: expected a value of kind texts"),
        ("{}", r"\$\.value: expected an integer, a text, a flag or a list of texts"),
    ):
        with pytest.raises(ValueError, match=message):
            from_json(f'{{"kind":"texts","node":"Literal","value":{value}}}')


def _edit(document: Any, path: tuple[str | int, ...], value: object) -> Any:
    if not path:
        return value
    changed = document.copy()
    changed[path[0]] = _edit(changed.get(path[0]) if path[1:] else None, path[1:], value)
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((), [], r"\$: expected an object"),
        (("node",), "Maybe", r"\$\.node: expected one of"),
        (("node",), "Rows", r"\$\.node: expected one of"),
        (("extra",), 1, r"\$: Not has unknown fields \['extra'\]"),
        (("at",), "0", r"\$\.at: expected"),
        (("at",), True, r"\$\.at: expected"),
        (("operand", "comparison"), "=<", r"\$\.operand\.comparison: expected a Comparison"),
        (("operand", "left", "rows", "types"), "buy", r"rows\.types: expected a list"),
        (("operand", "left", "rows", "types"), [1], r"rows\.types\[0\]: expected"),
        (("operand", "left", "rows", "last_ms"), 1.5, r"rows\.last_ms: expected"),
        (("operand", "left", "rows"), {"node": "Not"}, r"rows\.node: expected one of"),
        (("operand", "right", "value"), 1.5, r"right\.value: expected"),
        (("operand", "right", "value"), "2", r"right\.value: expected a value of kind number"),
        (("operand", "right", "value"), True, r"right\.value: expected a value of kind number"),
        (("operand", "right", "value"), 2**63, r"right\.value: expected an integer of 64 bits"),
        (("operand", "right", "kind"), None, r"right\.value: expected a value of kind None"),
    ],
)
def test_a_mistake_is_refused_with_its_place(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    document = _edit(json.loads(to_json(sample)), path, value)
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", '{"node":"Literal","node":"Literal","kind":null,"value":null}', "[" * 100_000],
)
def test_what_is_no_json_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)


def test_rules_nest_no_deeper_than_the_limit() -> None:
    text = to_json(Literal(value=True, kind=Kind.FLAG))
    for _ in range(250):
        text = f'{{"node":"Not","operand":{text}}}'
    with pytest.raises(ValueError, match="levels"):
        from_json(text)


@given(st.text())
def test_any_text_is_refused_or_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)
