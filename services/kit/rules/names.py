"""Errors for names that mean nothing where they stand, with what the writer may have meant."""

from __future__ import annotations

from collections.abc import Collection

from services.kit.rules import words
from services.kit.rules.errors import RuleError, shown
from services.kit.rules.tree import Call, Member, Path
from services.kit.rules.view import View, mistake, mistake_at_name


def root_mistake(view: View, node: Path, known: Collection[str]) -> RuleError:
    """Return the error for a name that begins with no root; `known` are the names that do."""
    root, name = node.names[0], ".".join(node.names)
    if root in words.FUNCTIONS | words.METHODS | words.INSTANCE_FUNCTIONS:
        return mistake(
            view, node, f"{shown(root)} is a function: it is written with brackets behind it"
        )
    rootless = {k.partition(".")[2]: k for k in sorted(known)}
    near = rootless.get(name) or next(iter(words.nearest(name, known)), None)
    if near is not None:
        return mistake(view, node, f"unknown name {shown(name)}; did you mean `{near}`?")
    roots = " or ".join(f"`{root}.`" for root in sorted({k.partition(".")[0] for k in known}))
    starts = f"a field begins with {roots}, " if roots else ""
    return mistake(view, node, f"unknown name {shown(name)}; {starts}a text stands in quotes")


def member_mistake(view: View, node: Member) -> RuleError:
    """Return the error for a name behind something that has no fields."""
    name = node.name
    return mistake(view, node, f"{shown(name)} is no field here; a method is written `.{name}()`")


def call_mistake(view: View, node: Call) -> RuleError:
    """Return the error for a call that nothing takes here; it points at the called name."""
    name, is_method = node.function, node.target is not None
    if name in words.FOREIGN:
        complaint = f"{shown(name)} is not part of the rule language"
    elif is_method and name in words.METHODS:
        complaint = f"{shown(name)} cannot be called on this"
    elif is_method and name in words.FUNCTIONS:
        complaint = f"{shown(name)} is called on nothing: write {name}(...) by itself"
    elif not is_method and name in words.METHODS:
        complaint = f"{shown(name)} is called on something: write it behind a dot, as .{name}(...)"
    else:
        known = words.METHODS if is_method else words.FUNCTIONS
        complaint = words.unknown("method" if is_method else "function", name, known)
    return mistake_at_name(view, node, complaint)
