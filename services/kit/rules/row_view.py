"""What `where`, `by` and the ends of chains see: one row at a time, and constants."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.rule import EventField, Expression, ItemField, Scope
from services.kit.rules import fields, scalar
from services.kit.rules.chains import is_chain
from services.kit.rules.errors import RuleError
from services.kit.rules.names import call_mistake, member_mistake, root_mistake
from services.kit.rules.properties import property_kind
from services.kit.rules.situation import Situation, check_catalog, instance_word, is_catalog
from services.kit.rules.tree import Call, Member, Node, Path
from services.kit.rules.view import mistake
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import INSTANCE_NAMES, PERSON_FUNCTIONS, unknown


@dataclass(frozen=True, slots=True)
class RowView:
    """The row's event, its item where rows are items, and constants; `word` is who sees them."""

    text: str
    vocabulary: Vocabulary
    scope: Scope
    types: tuple[str, ...]
    word: str
    situation: Situation | None = None

    def path(self, node: Path) -> Expression:
        """Return a field of the row's event or item."""
        root, name = node.names[0], ".".join(node.names[1:])
        if root == "event":
            kind = property_kind(node, self, self.vocabulary, self.types)
            return EventField(name, kind, node.place.start)
        if root == "item":
            return self._item_field(node, name)
        if root in INSTANCE_NAMES:
            return instance_word(node, self, self.vocabulary)
        if root == "profile":
            raise self._alone(node, "not the profile")
        known = {f"event.{p}" for t in self.types for p in self.vocabulary.event_types[t]}
        known.update(f"event.{name}" for name in fields.EVENT_FIELDS)
        if self.scope is Scope.ITEM:
            known.update(f"item.{name}" for name in fields.ITEM_FIELDS)
        raise root_mistake(self, node, known)

    def call(self, node: Call) -> Expression:
        """Refuse: no call but those of values means anything over one row."""
        if is_chain(node):
            raise self._alone(node, "not other rows")
        if node.target is None and node.function == "age":
            complaint = "the age of rows is said with `.last(...)` and `.olderThan(...)`"
            raise mistake(self, node, f"`{self.word}` sees the row alone: {complaint}")
        if node.target is None and node.function in PERSON_FUNCTIONS:
            raise self._alone(node, f"not `{node.function}`, which is of the person")
        if is_catalog(node):
            check_catalog(node, self)
            raise self._alone(node, "not the catalog")
        if node.target is not None:
            scalar.expression(node.target, self)
        raise call_mistake(self, node)

    def member(self, node: Member) -> Expression:
        """Refuse: nothing that is called here has fields."""
        if is_catalog(node.owner):
            self.call(node.owner)
        raise member_mistake(self, node)

    def _alone(self, node: Node, what: str) -> RuleError:
        complaint = f"`{self.word}` sees the row alone, {what}: test it outside, with `&&`"
        return mistake(self, node, complaint)

    def _item_field(self, node: Path, name: str) -> Expression:
        if self.scope is not Scope.ITEM:
            raise mistake(
                self, node, "`item` is there only under `items(...)`; these rows are events"
            )
        kind = fields.ITEM_FIELDS.get(name)
        if kind is None:
            if not name:
                raise mistake(
                    self, node, "`item` is no value: name one of its fields, such as `item.sku`"
                )
            raise mistake(self, node, unknown("item field", name, fields.ITEM_FIELDS))
        return ItemField(name, kind, node.place.start)
