"""Conditions of a journey: what they say of the person becomes audiences, the rest stays.

An audience is kept right at every instant, so that a condition holds no part that time alone could
change, and whoever asks needs no history from before the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from segcore.describe import describe
from segcore.instance import is_instance_word
from segcore.nodes import nodes_of
from segcore.rule import (
    Age,
    Aggregate,
    All,
    Anniversary,
    AnyOf,
    Arithmetic,
    Attribute,
    Bucket,
    CatalogField,
    Compare,
    EventField,
    Expression,
    Fold,
    FormText,
    Has,
    InAudience,
    ItemField,
    KeyText,
    Literal,
    Not,
    OneOf,
    Rows,
    Shift,
    Size,
    TestText,
    TriggerField,
    Truth,
)
from segcore.rule_json import to_json, without_offsets
from services.kit.rules import scalar
from services.kit.rules.clause import clause_place, clause_text
from services.kit.rules.compiler import translated
from services.kit.rules.errors import RuleError
from services.kit.rules.instants import check_lasting, check_zone
from services.kit.rules.person import PersonView
from services.kit.rules.situation import Situation
from services.kit.rules.vocabulary import Vocabulary

_CONDITIONS = (*(Compare, OneOf, TestText, Has, Truth, Not, All, AnyOf, InAudience, Anniversary),)
_OF_A_PERSON = (Attribute, Aggregate, Age, Anniversary, Bucket)
"""What no constant has below it. An age and an anniversary change with time as well."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as a journey asks it.

    `owned` are audiences to be saved with the journey, each with the text of its rule, in the order
    of the text. `event_types` are those whose events the instance has to keep, from its trigger on.
    `audiences` are all that `expression` asks for, the owned ones too.
    """

    expression: Expression
    owned: Mapping[str, str]
    event_types: frozenset[str]
    uses_catalog: bool
    audiences: frozenset[str]


def compile_condition(
    text: str,
    vocabulary: Vocabulary,
    situation: Situation,
    owned_id: Callable[[int], str],
    *,
    lasting: bool = False,
) -> Condition:
    """Return the condition of a text, its parts about the person alone as `owned_id(0)`, and so on.

    Parts that say the same share one. A part that only asks for audiences stays as it is. Raises
    RuleError as `compile_rule` does, where the person and the instance cannot be told apart, and
    where time alone would change what is said of the instance in a `lasting` condition: one that
    is not asked once but acts as soon as it holds.
    """
    view = PersonView(text, vocabulary, situation)
    split = _Split(text, owned_id)
    expression = split.condition(translated(view, lambda found: scalar.condition(found, view)))
    check_zone(text, expression)
    if lasting:
        check_lasting(text, expression)
    nodes = list(nodes_of(expression))
    return Condition(
        expression=expression,
        owned=split.owned,
        event_types=frozenset(t for node in nodes if isinstance(node, Rows) for t in node.types),
        uses_catalog=any(isinstance(node, CatalogField) for node in nodes),
        audiences=frozenset(node.audience_id for node in nodes if isinstance(node, InAudience)),
    )


@dataclass(slots=True)
class _Split:
    text: str
    owned_id: Callable[[int], str]
    owned: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def condition(self, node: Expression) -> Expression:
        """Return the node with every greatest part about the person alone replaced."""
        if any(is_instance_word(part) for part in nodes_of(node)):
            return self._mixed(node)
        if _asks_for_audiences(node):
            return node
        if not _is_condition(node):
            raise self._value_mistake(node)
        return self._audience(node)

    def _mixed(self, node: Expression) -> Expression:
        match node:
            case All(operands=operands) | AnyOf(operands=operands):
                return replace(node, operands=tuple(self.condition(part) for part in operands))
            case Compare(left=left, right=right) | Arithmetic(left=left, right=right):
                return replace(node, left=self.condition(left), right=self.condition(right))
            case (
                Not(operand=operand)
                | Truth(operand=operand)
                | OneOf(operand=operand)
                | TestText(operand=operand)
                | FormText(operand=operand)
                | Size(operand=operand)
                | Shift(operand=operand)
                | Age(operand=operand)
                | Anniversary(operand=operand)
            ):
                return replace(node, operand=self.condition(operand))
            case Has(element=element, operand=operand):
                return replace(
                    node, element=self.condition(element), operand=self.condition(operand)
                )
            case Aggregate() | TriggerField() | KeyText() | CatalogField():
                return node
            case Literal() | Attribute() | EventField() | ItemField() | InAudience() | Bucket():
                raise AssertionError(f"no word of an instance stands in {type(node).__name__}")
            case _:
                assert_never(node)

    def _audience(self, node: Expression) -> Expression:
        meaning = to_json(without_offsets(node))
        if meaning not in self.known:
            audience_id = self.known[meaning] = self.owned_id(len(self.known))
            self.owned[audience_id] = clause_text(self.text, node) or describe(node)
        return InAudience(self.known[meaning], node.at)

    def _value_mistake(self, node: Expression) -> RuleError:
        start, end = clause_place(self.text, node) or (node.at, None)
        return RuleError(
            self.text,
            start,
            "this speaks of the person and is compared with the instance: a journey knows which"
            " rules hold for a person, not their values; test it apart, with `&&` or `||`",
            end,
        )


def _is_condition(node: Expression) -> bool:
    """Return whether a node is true or false and never missing."""
    if isinstance(node, Aggregate):
        return node.fold is Fold.EXISTS
    return isinstance(node, _CONDITIONS)


def _asks_for_audiences(node: Expression) -> bool:
    """Return whether a part about the person needs no audience of its own, or is a constant."""
    match node:
        case All(operands=operands) | AnyOf(operands=operands):
            return all(_asks_for_audiences(part) for part in operands)
        case Not(operand=operand):
            return _asks_for_audiences(operand)
        case InAudience():
            return True
        case _:
            return not any(isinstance(part, _OF_A_PERSON) for part in nodes_of(node))
