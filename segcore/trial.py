"""A person as they would be after some steps: what would flip a rule is tried out on a copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from segcore.evaluation import Moment, value_at
from segcore.history import AttributeChange, Event, PropertyValue
from segcore.rule import MICRO, Expression, Kind
from segcore.scalar import Value
from segcore.waiting import Future

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Trial:
    """One person at one moment, with what the known rules and some steps say of memberships."""

    moment: Moment
    rules: Mapping[str, Expression]
    inside: Mapping[str, bool] = field(default_factory=dict)

    def value_of(self, expression: Expression) -> Value:
        """Return what an expression comes to here."""
        return value_at(expression, self.future_of(expression).now)

    def future_of(self, expression: Expression) -> Future:
        """Return what comes for an expression while nothing happens."""
        rules = {name: rule for name, rule in self.rules.items() if name not in self.inside}
        return Future((expression,), self.moment.among(self._is_member), rules)

    def waits(self, expression: Expression) -> Iterator[tuple[int, Value]]:
        """Return the instants at which time alone may change an expression, with its values."""
        for later in self.future_of(expression).moments():
            yield later.now_ms, value_at(expression, later)

    def at(self, instant_ms: int) -> Trial:
        """Return the person at a later instant."""
        return replace(self, moment=self.moment.at(instant_ms))

    def with_event(self, event: Event) -> Trial:
        """Return the person after one more event, which happens a moment later."""
        now_ms = self.moment.now_ms + 1
        happened = replace(event, occurred_ms=now_ms, received_ms=now_ms)
        return replace(self, moment=self.moment.after(happened))

    def with_attribute(self, name: str, value: PropertyValue | None) -> Trial:
        """Return the person with another value of an attribute."""
        history = self.moment.history
        changes = history.attribute_changes
        latest_ms = max((change.as_of_ms for change in changes), default=self.moment.now_ms)
        change = AttributeChange({name: value}, max(latest_ms, self.moment.now_ms))
        changed = replace(history, attribute_changes=(*changes, change))
        # Rows know no attributes: those that were found stay.
        return replace(self, moment=replace(self.moment, history=changed, values={}))

    def with_audience(self, audience_id: str, *, inside: bool) -> Trial:
        """Return the person in or out of another audience."""
        return replace(self, inside={**self.inside, audience_id: inside})

    def _is_member(self, audience_id: str) -> bool:
        known = self.inside.get(audience_id)
        return self.moment.in_audience(audience_id) if known is None else known


def plain_value(value: Value, kind: Kind) -> PropertyValue | None:
    """Return a value as histories hold it."""
    if isinstance(value, int) and kind is Kind.NUMBER:
        return value / MICRO
    if isinstance(value, int) and kind is Kind.DATE:
        return date.fromordinal(value + _EPOCH_ORDINAL)
    return value
