"""Which names a template may use: what is declared, so that a typo is found when it is saved."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

ITEM_FIELDS = frozenset({"sku", "name", "category", "brand", "price", "image_url", "quantity"})
MESSAGE_FIELDS = frozenset({"id", "campaign", "channel"})
TRIGGER_FIELDS = frozenset({"id", "type", "occurred_at"})
ROOTS = ("profile", "trigger", "items", "message")

_OF_TEXTS = frozenset({"size", "first", "last"})
"""What Liquid itself knows of every text and list."""


@dataclass(frozen=True, slots=True)
class Use:
    """A name that a part of a template uses; a computed step of its path is None."""

    part: str
    path: tuple[str | int | None, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A name that is not there: in which part and line, and what was expected."""

    part: str
    line: int
    why: str


def find_mistakes(
    uses: Iterable[Use], attributes: Collection[str], properties: Collection[str]
) -> list[Mistake]:
    """Return the uses of names that nothing declares, in order.

    >>> find_mistakes([Use("text", ("profile", "tire"), 3)], {"tier"}, ())[0].why
    'profile.tire: expected an attribute that the schema declares'
    """
    found = []
    for use in sorted(set(uses), key=lambda each: (each.part, each.line, str(each.path))):
        why = _wrong(use.path, attributes, properties)
        if why:
            found.append(Mistake(use.part, use.line, why))
    return found


def _wrong(
    path: tuple[str | int | None, ...], attributes: Collection[str], properties: Collection[str]
) -> str:
    root, rest = path[0], path[1:]
    shown = ".".join("[…]" if step is None else str(step) for step in path)
    match root:
        case "profile":
            known, expected = attributes, "an attribute that the schema declares"
        case "trigger":
            known = {*properties, *TRIGGER_FIELDS}
            expected = "a property that the schema declares, or id, type, occurred_at"
        case "message":
            known, expected = MESSAGE_FIELDS, "id, campaign or channel"
        case "items":
            return _wrong_item(rest, shown)
        case _:
            return f"{shown}: expected a name that begins with {', '.join(ROOTS)}"
    return "" if _is_known(rest, known) else f"{shown}: expected {expected}"


def _is_known(rest: tuple[str | int | None, ...], known: Collection[str]) -> bool:
    steps = [step for step in rest if isinstance(step, str)]
    if not rest or len(steps) != len(rest):
        return False
    return ".".join(steps) in known or (
        len(steps) > 1 and steps[-1] in _OF_TEXTS and ".".join(steps[:-1]) in known
    )


def _wrong_item(rest: tuple[str | int | None, ...], shown: str) -> str:
    """Items are a list: the list itself, something of the list, or a field of one of them."""
    if len(rest) < 2:  # noqa: PLR2004 - the item, and then its field
        is_list = not rest or rest[0] in _OF_TEXTS or not isinstance(rest[0], str)
        return "" if is_list else f"{shown}: expected `for item in items`, and then `item.name`"
    is_item = rest[0] in {"first", "last"} or not isinstance(rest[0], str)
    if is_item and _is_known(rest[1:], ITEM_FIELDS):
        return ""
    return f"{shown}: expected one of {', '.join(sorted(ITEM_FIELDS))}"
