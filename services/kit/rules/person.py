"""What a rule sees outside of rows: the profile's attributes, aggregates, and other audiences.

In the conditions of a journey also the instance: its trigger, its key, and the key item.
"""

from __future__ import annotations

from dataclasses import dataclass

from segcore.kinds import kind_of
from segcore.rule import Age, Anniversary, Attribute, Bucket, Expression, InAudience, Kind
from services.kit.rules import fields, folds, scalar
from services.kit.rules.chains import is_chain
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.names import call_mistake, member_mistake, root_mistake
from services.kit.rules.situation import (
    Situation,
    bare_catalog_mistake,
    catalog_field,
    instance_word,
    is_catalog,
)
from services.kit.rules.tree import Call, Constant, Member, Path
from services.kit.rules.values import spoken
from services.kit.rules.view import mistake
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import INSTANCE_NAMES, unknown

_EXAMPLES = {
    "age": "age(profile.signup_at) >= days(10)",
    "anniversary": "anniversary(profile.birth_date)",
}


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
                f"`{root}` is there only for one row at a time: inside `where`, `by` and the ends"
                " of chains such as `sum`",
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
        """Return an aggregate, or what one of the functions says of the person."""
        if is_chain(node):
            return folds.aggregate(node, self, self.vocabulary)
        if node.target is None:
            match node.function:
                case "audience":
                    return self._audience(node)
                case "age":
                    return Age(self._moment(node, Kind.TIME), node.place.start)
                case "anniversary":
                    return Anniversary(self._moment(node, Kind.TIME, Kind.DATE), node.place.start)
                case "bucket":
                    return self._bucket(node)
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

    def _moment(self, node: Call, *kinds: Kind) -> Expression:
        """Return the one argument of a function, which is of one of the kinds."""
        name = node.function
        wanted = " or ".join(spoken(kind) for kind in kinds)
        if len(node.arguments) != 1:
            raise mistake(self, node, f"`{name}` takes {wanted}: {_EXAMPLES[name]}")
        (argument,) = node.arguments
        found = scalar.expression(argument, self)
        if kind_of(found) not in kinds:
            complaint = f"`{name}` takes {wanted}, found {spoken(kind_of(found))}"
            raise mistake(self, argument, complaint)
        return found

    def _bucket(self, node: Call) -> Expression:
        match node.arguments:
            case (Constant(value=str(salt)),):
                return Bucket(salt, node.place.start)
        raise mistake(self, node, '`bucket` takes one constant text: bucket("spring") < 0.10')

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
