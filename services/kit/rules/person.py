"""What a rule sees outside of rows: the profile's attributes, aggregates, and other audiences.

In the conditions of a journey also the instance: its trigger, its key, and the key item.
"""

from __future__ import annotations

from dataclasses import dataclass

from segcore.rule import Attribute, Expression, InAudience
from services.kit.rules import fields, rows, scalar
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.names import call_mistake, member_mistake, root_mistake
from services.kit.rules.scalar import mistake
from services.kit.rules.situation import (
    Situation,
    bare_catalog_mistake,
    catalog_field,
    instance_word,
    is_catalog,
)
from services.kit.rules.tree import Call, Constant, Member, Path
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import INSTANCE_NAMES, unknown


@dataclass(frozen=True, slots=True)
class PersonView:
    """One profile as a rule of `vocabulary` sees it."""

    text: str
    vocabulary: Vocabulary
    situation: Situation | None = None

    def path(self, node: Path) -> Expression:
        """Return the attribute that a name with dots stands for."""
        root, name = node.names[0], ".".join(node.names[1:])
        if root in {"event", "item"}:
            raise mistake(
                self,
                node,
                f"`{root}` is there only inside `where` and `sum`, for one row at a time",
            )
        if root in INSTANCE_NAMES:
            return instance_word(node, self, self.vocabulary)
        if root != "profile":
            raise root_mistake(self, node, self._known())
        kind = self.vocabulary.attributes.get(name)
        if kind is None:
            raise self._attribute_mistake(node, name)
        return Attribute(name, kind, node.place.start)

    def call(self, node: Call) -> Expression:
        """Return an aggregate or a membership."""
        if rows.is_chain(node):
            return rows.aggregate(node, self, self.vocabulary)
        if node.function == "audience" and node.target is None:
            return self._audience(node)
        if is_catalog(node):
            raise bare_catalog_mistake(node, self)
        if node.target is not None:
            # What stands before the dot may hold an earlier mistake, which a reader meets first.
            scalar.expression(node.target, self)
        raise call_mistake(self, node)

    def member(self, node: Member) -> Expression:
        """Return a field of the key item."""
        if is_catalog(node.owner):
            return catalog_field(node, self)
        raise member_mistake(self, node)

    def _known(self) -> set[str]:
        known = {f"profile.{name}" for name in self.vocabulary.attributes}
        if self.situation is not None and self.situation.has_trigger:
            known.update(f"trigger.{name}" for name in self.vocabulary.properties)
            known.update(f"trigger.{name}" for name in fields.EVENT_FIELDS)
        return known

    def _attribute_mistake(self, node: Path, name: str) -> RuleError:
        known = self.vocabulary.attributes
        if not name:
            return mistake(self, node, "`profile` is no value: name one of its attributes")
        if group := sorted(a for a in known if a.startswith(f"{name}.")):
            shown_group = shown(f"profile.{name}")
            return mistake(
                self,
                node,
                f"{shown_group} is no value: name one of its parts, `profile.{group[0]}`",
            )
        return mistake(self, node, unknown("attribute", name, known))

    def _audience(self, node: Call) -> Expression:
        match node.arguments:
            case (Constant(value=str(audience_id)) as argument,):
                if audience_id not in self.vocabulary.audiences:
                    raise mistake(
                        self, argument, unknown("audience", audience_id, self.vocabulary.audiences)
                    )
                return InAudience(audience_id, node.place.start)
        raise mistake(
            self, node, '`audience` takes one constant audience id, such as audience("vip")'
        )
