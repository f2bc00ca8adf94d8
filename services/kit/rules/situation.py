"""What a condition of a journey may speak of beside the person, and what its words stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

from segcore.instance import CATALOG_KINDS
from segcore.rule import CatalogField, Expression, KeyText, Since, TriggerField
from services.kit.rules.errors import RuleError
from services.kit.rules.properties import property_kind
from services.kit.rules.tree import Call, Member, Node, Path
from services.kit.rules.view import View, mistake
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import unknown


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is where a condition is asked: an event that started the instance, a key.

    With `trigger_types` that event is of one of these types; empty means any.
    """

    has_trigger: bool
    has_item_key: bool
    has_key: bool
    trigger_types: tuple[str, ...] = ()


def instance_word(node: Path, view: View, vocabulary: Vocabulary) -> Expression:
    """Return what `trigger.<property>` or `key` stands for; `entry` is no value."""
    root = node.names[0]
    situation = _situation(node, view, root)
    if root == "trigger":
        kind = property_kind(node, view, vocabulary, situation.trigger_types or None)
        return TriggerField(".".join(node.names[1:]), kind, node.place.start)
    if root == "entry":
        raise mistake(view, node, "`entry` is no value: it stands only in `.since(entry)`")
    if len(node.names) > 1:
        raise mistake(view, node, "`key` is a text and has no parts: write `key` alone")
    return KeyText(node.place.start)


def is_catalog(node: Node) -> TypeGuard[Call]:
    """Return whether a node is a call of `catalog`."""
    return isinstance(node, Call) and node.function == "catalog" and node.target is None


def catalog_field(node: Member, view: View) -> Expression:
    """Return what `catalog(key).<field>` stands for."""
    check_catalog(node.owner, view)
    kind = CATALOG_KINDS.get(node.name)
    if kind is None:
        raise mistake(view, node, unknown("catalog field", node.name, CATALOG_KINDS))
    return CatalogField(node.name, kind, node.place.start)


def bare_catalog_mistake(node: Call, view: View) -> RuleError:
    """Return the error for a `catalog(...)` without a field behind it."""
    check_catalog(node, view)
    complaint = "`catalog(key)` is no value: name one of its fields, such as `catalog(key).stock`"
    return mistake(view, node, complaint)


def is_instant_name(node: Node) -> TypeGuard[Path]:
    """Return whether this is one of the instants from which an instance begins."""
    match node:
        case Path(names=("trigger",) | ("trigger", "occurred_at") | ("entry", *_)):
            return True
        case _:
            return False


def since_of(node: Path, view: View) -> Since:
    """Return from when on `.since(...)` keeps rows, for an instant of an instance."""
    name = node.names[0]
    _situation(node, view, name)
    if len(node.names) > 1:
        raise mistake(view, node, f"`since` takes `{name}` itself: write `.since({name})`")
    return Since(name)


def check_catalog(node: Node, view: View) -> None:
    """Raise RuleError unless this is `catalog(key)`, and there is such an item."""
    _situation(node, view, "catalog")
    match node:
        case Call(arguments=(Path(names=("key",)),)):
            return
    raise mistake(view, node, "`catalog` takes `key` and nothing else: catalog(key)")


def _situation(node: Node, view: View, word: str) -> Situation:
    """Return the situation, where it has what `word` stands for."""
    situation = view.situation
    if situation is None:
        raise mistake(
            view,
            node,
            f"`{word}` is there only in the conditions of a journey, once somebody is on it",
        )
    if word == "trigger" and not situation.has_trigger:
        raise mistake(
            view, node, "there is no `trigger`: people do not enter this journey by an event"
        )
    if word == "key" and not (situation.has_key or situation.has_item_key):
        raise mistake(
            view, node, "there is no `key`: the journey tells its instances apart by person alone"
        )
    if word == "catalog" and not situation.has_item_key:
        raise mistake(
            view, node, "there is no `catalog(key)`: the key of this journey is not an item"
        )
    return situation
