"""What a rule sees outside of rows: the profile's attributes, aggregates, and other audiences."""

from __future__ import annotations

from dataclasses import dataclass

from segcore.rule import Attribute, Expression, InAudience
from services.kit.rules import rows, scalar
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.names import call_mistake, root_mistake
from services.kit.rules.scalar import mistake
from services.kit.rules.tree import Call, Constant, Path
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import unknown


@dataclass(frozen=True, slots=True)
class PersonView:
    """One profile as a rule of `vocabulary` sees it."""

    text: str
    vocabulary: Vocabulary

    def path(self, node: Path) -> Expression:
        """Return the attribute that a name with dots stands for."""
        root, name = node.names[0], ".".join(node.names[1:])
        if root in {"event", "item"}:
            raise mistake(
                self,
                node,
                f"`{root}` is there only inside `where` and `sum`, for one row at a time",
            )
        if root != "profile":
            raise root_mistake(
                self, node, {f"profile.{name}" for name in self.vocabulary.attributes}
            )
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
        if node.target is not None:
            # What stands before the dot may hold an earlier mistake, which a reader meets first.
            scalar.expression(node.target, self)
        raise call_mistake(self, node)

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
