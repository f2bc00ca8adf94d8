"""Which names a template uses, found in its parsed form, with their places."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from liquid import BoundTemplate, Node
from liquid.builtin.expressions import Path
from liquid.builtin.tags.for_tag import ForNode
from liquid.context import RenderContext

ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Use:
    """A name as a path; a part that is computed is None. `line` begins at 1."""

    path: tuple[str | int | None, ...]
    line: int


def names_used(template: BoundTemplate, source: str) -> list[Use]:
    """Return the names that come from outside, and those of items that a loop goes through.

    A loop's name for an item is told as `items`, with the number 0 for whichever it is.
    """
    found = template.analyze(include_partials=False)
    uses = [
        Use(_path(variable.segments), source.count("\n", 0, variable.span.index) + 1)
        for variables in found.globals.values()
        for variable in variables
    ]
    looped = _loop_names(template)
    for name, over_items in looped.items():
        if over_items:
            for variable in found.variables.get(name, []):
                line = source.count("\n", 0, variable.span.index) + 1
                uses.append(Use((ITEMS, 0, *_path(variable.segments)[1:]), line))
    return uses


def stray_filter(
    template: BoundTemplate, source: str, known: Container[str]
) -> tuple[str, int] | None:
    """Return the first filter that there is not, with its line; Liquid finds it when it renders."""
    found = template.analyze(include_partials=False).filters
    stray = [(spans[0].index, name) for name, spans in found.items() if name not in known]
    if not stray:
        return None
    index, name = min(stray)
    return name, source.count("\n", 0, index) + 1


def _path(segments: Sequence[object]) -> tuple[str | int | None, ...]:
    return tuple(each if isinstance(each, str | int) else None for each in segments)


def _loop_names(template: BoundTemplate) -> dict[str, bool]:
    """Return the names that loops give, and whether each is always one of the items."""
    context = RenderContext(template)
    names: dict[str, bool] = {}
    for node in _nodes(template.nodes, context):
        if isinstance(node, ForNode):
            name, source = str(node.expression.identifier), node.expression.iterable
            over_items = isinstance(source, Path) and source.path == [ITEMS]
            names[name] = names.get(name, True) and over_items
    return names


def _nodes(nodes: list[Node], context: RenderContext) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _nodes(list(node.children(context, include_partials=False)), context)
