"""What is wrong with a rule, and where: the line, the column and the place marked in an excerpt.

Offsets, lines and columns count code points; lines end at a line feed alone, as CEL counts them.
"""

from __future__ import annotations

from services.kit.errors import InvalidArgument

EXCERPT_WIDTH = 96
"""What fits beside a margin in a terminal of a hundred columns."""

NAME_SHOWN = 64
"""No name of ours is longer; what is longer in a rule is cut in a message."""


class RuleError(InvalidArgument):
    """A rule that does not parse, does not type-check or cannot be run exactly.

    `line` and `column` are 1-based and are in the metadata too; `offset` is 0-based.
    """

    def __init__(self, text: str, start: int, complaint: str, end: int | None = None) -> None:
        start = max(0, min(start, len(text)))
        line = text.count("\n", 0, start) + 1
        column = start - (text.rfind("\n", 0, start) + 1) + 1
        super().__init__(
            "INVALID_RULE",
            f"line {line}, column {column}: {complaint}\n{excerpt(text, start, end)}",
            {"line": str(line), "column": str(column)},
        )
        self.complaint = complaint
        self.offset = start
        self.line = line
        self.column = column


def excerpt(text: str, start: int, end: int | None = None) -> str:
    r"""Return the line around `start` with `start` to `end` marked under it.

    >>> print(excerpt("a\n  && bcd", 7, 10))
    |   && bcd
    |      ^^^
    """
    first = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", start)
    line = text[first : len(text) if stop < 0 else stop]
    column = start - first
    marked = max(1, min(len(line), (end or start) - first) - column)
    cut = max(0, column - EXCERPT_WIDTH // 2)
    shown = line[cut : cut + EXCERPT_WIDTH]
    marked = max(1, min(marked, len(shown) - (column - cut)))
    plain = "".join(c if c.isprintable() else " " for c in shown)
    margin, tail = ("…" if cut else ""), ("…" if cut + EXCERPT_WIDTH < len(line) else "")
    pointer = " " * (len(margin) + column - cut) + "^" * marked
    return f"| {margin}{plain}{tail}\n| {pointer}"


def shown(name: str) -> str:
    """Return a name out of a rule as a message shows it: on one line, and cut when it is long."""
    plain = "".join(c if c.isprintable() else " " for c in name)
    return f"`{plain}`" if len(plain) <= NAME_SHOWN else f"`{plain[:NAME_SHOWN]}…`"
