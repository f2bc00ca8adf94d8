"""Properties of events by name: those of a row, and those of what started an instance."""

from __future__ import annotations

from collections.abc import Sequence

from segcore.rule import Kind
from services.kit.rules import fields
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.tree import Path
from services.kit.rules.view import View, mistake
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import unknown


def property_kind(
    node: Path, view: View, vocabulary: Vocabulary, types: Sequence[str] | None
) -> Kind:
    """Return the type of the property behind the first dot of `node`.

    At least one of the types has it, or any type of the workspace where these are None.
    """
    name = ".".join(node.names[1:])
    if name in fields.EVENT_FIELDS:
        return fields.EVENT_FIELDS[name]
    among = vocabulary.event_types if types is None else types
    for declared in (vocabulary.event_types[t] for t in among):
        if name in declared:
            return declared[name]
    raise _mistake(node, view, vocabulary, types)


def _mistake(
    node: Path, view: View, vocabulary: Vocabulary, types: Sequence[str] | None
) -> RuleError:
    root, name = node.names[0], ".".join(node.names[1:])
    among = vocabulary.event_types if types is None else types
    known = {p for t in among for p in vocabulary.event_types[t]}
    if not name:
        return mistake(view, node, f"`{root}` is no value: name one of its properties")
    if group := sorted(p for p in known if p.startswith(f"{name}.")):
        parts = f"name one of its parts, `{root}.{group[0]}`"
        return mistake(view, node, f"{shown(f'{root}.{name}')} is no value: {parts}")
    of = "" if types is None else " of " + " or ".join(f"`{t}`" for t in types)
    having = sorted(t for t, d in vocabulary.event_types.items() if name in d)
    if having:
        return mistake(
            view, node, f"there is no property {shown(name)}{of}, but `{having[0]}` has it"
        )
    return mistake(view, node, unknown("property", name, known | set(fields.EVENT_FIELDS), of))
