"""The Liquid that templates are written in: what there is, and how much of it one may use.

Nothing here reaches a file, another template, a clock or an attribute of a Python object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from liquid import Environment
from liquid.builtin import register
from liquid.exceptions import FilterArgumentError

FILTERS = frozenset(
    {
        *("abs", "append", "at_least", "at_most", "capitalize", "ceil", "compact", "concat"),
        *("date", "default", "divided_by", "downcase", "escape", "escape_once", "first", "floor"),
        *("has", "join", "last", "lstrip", "map", "minus", "modulo", "newline_to_br", "plus"),
        *("prepend", "remove", "remove_first", "remove_last", "replace", "replace_first"),
        *("replace_last", "reverse", "round", "rstrip", "size", "slice", "sort", "sort_natural"),
        *("split", "squish", "strip", "strip_html", "strip_newlines", "sum", "times", "truncate"),
        *("truncatewords", "uniq", "upcase", "url_encode", "where"),
    }
)
"""Left out: `safe` and what decodes, by which a value could get past the escaping."""

TAGS_LEFT_OUT = ("include", "render", "tablerow", "increment", "decrement")

FORMAT_LENGTH = 100
OUTPUT_BYTES = 200_000

_NOW = ("now", "today")


class MessageLiquid(Environment):
    """Liquid with limits. Each is far beyond any message, and near enough to stop a bomb."""

    block_nesting_limit: ClassVar[int] = 20
    context_depth_limit: ClassVar[int] = 20
    loop_iteration_limit: ClassVar[int | None] = 10_000
    local_namespace_limit: ClassVar[int | None] = 1_000_000
    output_stream_limit: ClassVar[int | None] = OUTPUT_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Take the usual ones, without those that are left out; `extra` is never asked for."""
        del extra
        register(self)
        for tag in TAGS_LEFT_OUT:
            del self.tags[tag]
        self.filters = {name: each for name, each in self.filters.items() if name in FILTERS}
        self.filters["date"] = _DateFilter(self.filters["date"])


class _DateFilter:
    """Writes a given date. The machine's clock is none of a template's business."""

    with_environment = True

    def __init__(self, usual: Callable[..., Any]) -> None:
        self._usual = usual

    def __call__(self, value: object, layout: object = "", **rest: Any) -> Any:
        if value in _NOW:
            raise FilterArgumentError("expected a date, found the word for this moment", token=None)
        if len(str(layout)) > FORMAT_LENGTH:
            raise FilterArgumentError(f"expected a layout of up to {FORMAT_LENGTH}", token=None)
        return self._usual(value, layout, **rest)


def environment(*, escaped: bool) -> MessageLiquid:
    """Return the environment for HTML (`escaped`) or for plain text."""
    return MessageLiquid(autoescape=escaped, strict_filters=True)
